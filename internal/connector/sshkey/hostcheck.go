package sshkey

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Problem is what is wrong with a host key.
type Problem int

// The problems of host keys.
const (
	UnknownHost    Problem = iota // no line is about the address
	Mismatch                      // the lines name other keys
	Revoked                       // a line revokes the key or its authority
	BadCertificate                // the certificate is expired, for another host, or the like
	Unacceptable                  // a kind or size of key that is never taken
)

// HostKeyError says that a target's host key is not taken.
type HostKeyError struct {
	Problem Problem
	Address string // host:port
	Type    string // of the key that the target showed
	// Offered is its fingerprint, Expected are those that would have been
	// taken from Address.
	Offered  string
	Expected []string
	// Detail says more about BadCertificate and Unacceptable.
	Detail string
}

// Error tells both fingerprints and what to do.
func (e *HostKeyError) Error() string {
	shown := fmt.Sprintf("the host key of %s (%s %s)", e.Address, e.Type, e.Offered)
	switch e.Problem {
	case UnknownHost:
		return fmt.Sprintf("%s is not verified: no line of hostKey is about this address; on a port other than 22 it is named %s", shown, hostName(e.Address))
	case Mismatch:
		return fmt.Sprintf("%s is not the one that hostKey names (%s): another machine may be answering in the target's place; if the key was changed, verify that and update hostKey", shown, strings.Join(e.Expected, ", "))
	case Revoked:
		return shown + " is revoked in hostKey: whoever answers has a key that was given up"
	}
	return fmt.Sprintf("%s is not taken: %s", shown, e.Detail)
}

// Check is an ssh.HostKeyCallback. Its errors are *HostKeyError.
func (h *HostKeys) Check(address string, _ net.Addr, key ssh.PublicKey) error {
	failed := &HostKeyError{Address: address, Type: key.Type(), Offered: Fingerprint(key)}
	cert, certified := key.(*ssh.Certificate)
	switch {
	case h.revoked(key):
		failed.Problem = Revoked
		return failed
	case certified:
		return h.checkCertificate(failed, cert)
	}
	if err := checkPublic(key); err != nil {
		failed.Problem, failed.Detail = Unacceptable, err.Error()
		return failed
	}
	return h.checkPlain(failed, key)
}

func (h *HostKeys) checkPlain(failed *HostKeyError, key ssh.PublicKey) error {
	if h.any {
		return nil
	}
	name := hostName(failed.Address)
	for _, l := range h.lines {
		switch {
		case l.marker == markRevoked || !l.matches(name):
		case l.marker == markAuthority:
			failed.Expected = append(failed.Expected, "certificates of "+Fingerprint(l.key))
		case same(l.key, key):
			return nil
		default:
			failed.Expected = append(failed.Expected, Fingerprint(l.key))
		}
	}
	failed.Problem = Mismatch
	if len(failed.Expected) == 0 {
		failed.Problem = UnknownHost
	}
	return failed
}

func (h *HostKeys) checkCertificate(failed *HostKeyError, cert *ssh.Certificate) error {
	name := hostName(failed.Address)
	checker := ssh.CertChecker{
		Clock: time.Now,
		IsHostAuthority: func(authority ssh.PublicKey, _ string) bool {
			for _, l := range h.lines {
				if l.marker == markAuthority && l.matches(name) && same(l.key, authority) {
					return true
				}
			}
			return false
		},
	}
	failed.Problem = BadCertificate
	if cert.Signature.Format == ssh.KeyAlgoRSA {
		failed.Detail = "its authority signed it with SHA-1"
		return failed
	}
	if err := checkPublic(cert.Key); err != nil {
		failed.Detail = err.Error()
		return failed
	}
	if err := checker.CheckHostKey(failed.Address, nil, cert); err != nil {
		failed.Detail = strings.TrimPrefix(err.Error(), "ssh: ")
		return failed
	}
	return nil
}

// revoked counts for every address, whatever names the line has: a key that
// was given up is nowhere a good one.
func (h *HostKeys) revoked(key ssh.PublicKey) bool {
	cert, certified := key.(*ssh.Certificate)
	for _, l := range h.lines {
		if l.marker != markRevoked {
			continue
		}
		if same(l.key, key) || certified && (same(l.key, cert.Key) || same(l.key, cert.SignatureKey)) {
			return true
		}
	}
	return false
}

func same(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }
