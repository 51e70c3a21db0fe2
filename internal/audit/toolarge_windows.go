package audit

// isTooLarge is about datagrams, which unix sockets do not have here.
func isTooLarge(error) bool { return false }
