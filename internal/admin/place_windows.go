package admin

// MakePlace makes nothing: there is no default place on Windows.
func MakePlace(string) error { return nil }

// CheckPlace leaves it to the access lists of the directory.
func CheckPlace(string) error { return nil }
