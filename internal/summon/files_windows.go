package summon

import "os"

// lockDir does nothing: a directory in use cannot be told from others here.
func lockDir(string) (*os.File, error) { return nil, nil }

func sweep(string) {}
