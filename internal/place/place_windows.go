package place

// Others is not known here: the directory's access list decides.
func Others(string) (who string, err error) { return "", nil }
