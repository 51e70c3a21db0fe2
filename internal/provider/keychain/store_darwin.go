package keychain

// newStore reads with the system's own program, which the user has allowed or
// is asked to allow to read an item: a broker without C cannot call the API.
func newStore(lookupEnv func(string) (string, bool)) store {
	return securityProgram{path: "/usr/bin/security", lookupEnv: lookupEnv}
}
