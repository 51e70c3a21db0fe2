package ssh

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// algorithms are what either side may negotiate: no key exchange, cipher or
// signature with SHA-1, no CBC. hmac-sha1 is not broken, but who offers
// nothing better has not been looked after.
func algorithms() ssh.Config {
	all := ssh.SupportedAlgorithms()
	return ssh.Config{
		KeyExchanges: all.KeyExchanges,
		Ciphers:      all.Ciphers,
		MACs:         slices.DeleteFunc(all.MACs, func(name string) bool { return name == ssh.HMACSHA1 }),
	}
}
