package ssh

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"secretless/internal/fips"
)

// algorithms are what either side may negotiate: no key exchange, cipher or
// signature with SHA-1, no CBC. hmac-sha1 is not broken, but who offers
// nothing better has not been looked after. In FIPS mode the library knows the
// approved ones only; those of them that Go itself refuses under fips140=only
// are left out there.
func algorithms() ssh.Config {
	all := ssh.SupportedAlgorithms()
	if fips.Only() {
		all.KeyExchanges = slices.DeleteFunc(all.KeyExchanges, func(name string) bool { return strings.Contains(name, "25519") })
		all.Ciphers = slices.DeleteFunc(all.Ciphers, func(name string) bool { return strings.Contains(name, "gcm") })
	}
	return ssh.Config{
		KeyExchanges: all.KeyExchanges,
		Ciphers:      all.Ciphers,
		MACs:         slices.DeleteFunc(all.MACs, func(name string) bool { return name == ssh.HMACSHA1 }),
	}
}
