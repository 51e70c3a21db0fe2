package httpproxy

import (
	"crypto/tls"
	"errors"
)

// Authority makes the certificates that the proxy shows inside of tunnels
// which it intercepts.
type Authority interface {
	// Certificate returns the certificate and key for host, a name or an IP
	// address as origin.Host spells it, valid for some time to come. It may be
	// called for every tunnel, from many goroutines, so that it keeps what it
	// made. ErrNoAuthority says that none was set up.
	Certificate(host string) (*tls.Certificate, error)
}

// ErrNoAuthority is what an Authority answers that does not exist (yet).
var ErrNoAuthority = errors.New("this broker has no certificate authority")
