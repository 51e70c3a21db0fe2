package admin

// ownerText is not known here.
func ownerText(string) string { return "" }
