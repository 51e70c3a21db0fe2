package httpproxy

import (
	"crypto/tls"
	"errors"
	"slices"
	"sync"

	"secretless/internal/connector"
	"secretless/internal/localca"
)

// localAuthority is the certificate authority of the state directory. It is
// looked for when a client first needs it, so that one that is made while the
// broker runs is found.
type localAuthority struct {
	stateDir func() (string, error)

	mu sync.Mutex
	ca *localca.Authority
}

// authorityOf is the local certificate authority, nil where a connector has no
// state directory.
func authorityOf(setup connector.Setup) Authority {
	if setup.StateDir == nil {
		return nil
	}
	return &localAuthority{stateDir: setup.StateDir}
}

// Certificate implements Authority.
func (l *localAuthority) Certificate(host string) (*tls.Certificate, error) {
	ca, err := l.open()
	if err != nil {
		return nil, err
	}
	return ca.Certificate(host)
}

func (l *localAuthority) open() (*localca.Authority, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ca != nil {
		return l.ca, nil
	}
	dir, err := l.stateDir()
	if err != nil {
		return nil, err
	}
	ca, err := localca.Open(dir)
	if errors.Is(err, localca.ErrNone) {
		return nil, ErrNoAuthority
	}
	if err == nil {
		l.ca = ca
	}
	return ca, err
}

// Start says what the authority cannot do for the configured hosts. Requests
// over plain HTTP do not need it, so that nothing is refused.
func (c *Connector) Start() error {
	l, ok := c.authority.(*localAuthority)
	if !ok {
		return nil
	}
	ca, err := l.open()
	if errors.Is(err, ErrNoAuthority) {
		return nil
	}
	if err == nil {
		hosts, _ := c.Intercepted()
		soon, checkErr := ca.Check(hosts)
		if !soon.IsZero() {
			c.log.Warn("the local CA expires soon; run `secretless ca rotate`", "expires", soon)
		}
		err = checkErr
	}
	if err != nil {
		c.log.Warn("https:// requests will fail until this is mended", "error", err)
	}
	return nil
}

// Intercepted lists the hosts whose tunnels are opened: names, *.names and IP
// addresses. unlisted are services that say by regular expressions what they
// match: nobody can list the hosts of these.
func (c *Connector) Intercepted() (hosts, unlisted []string) {
	for _, s := range c.services {
		for _, p := range s.hosts {
			host := p.host
			if p.wildcard {
				host = "*." + host
			}
			hosts = append(hosts, host)
		}
		if len(s.expressions) > 0 {
			unlisted = append(unlisted, s.name)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), unlisted
}
