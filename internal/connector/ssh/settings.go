package ssh

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
	"secretless/internal/target"
)

const (
	defaultPort = 22
	maxUser     = 256
)

// settings is a set of credentials, understood. The password still belongs to
// the set.
type settings struct {
	address  target.Address
	user     string
	named    bool                     // by the credentials; otherwise by the client
	signer   ssh.MultiAlgorithmSigner // nil without privateKey
	password secret.Value
	hostKeys *sshkey.HostKeys
}

// readSettings reads a set for a client that calls itself user. Its errors are
// about one credential and are the user's to mend.
func readSettings(set *secret.Set, user string) (settings, error) {
	var out settings
	err := out.read(set, user)
	switch {
	case errors.Is(err, sshkey.ErrExpired):
		// A certificate from a cache may have been issued anew since.
		return settings{}, database.Failure(connector.KindDenied, "credentials of the service: %w", err)
	case err != nil:
		return settings{}, database.Failure(connector.KindConfig, "credentials of the service: %w", err)
	}
	return out, nil
}

func (s *settings) read(set *secret.Set, user string) (err error) {
	if s.address, err = parseAddress(set.Text("address", "")); err != nil {
		return err
	}
	s.user, s.named = set.Text("user", user), set.Text("user", "") != ""
	switch {
	case s.user == "":
		return errors.New("user is empty, and the client names none")
	case len(s.user) > maxUser:
		return fmt.Errorf("user is longer than %d bytes", maxUser)
	}
	hostKey, _ := set.Get("hostKey")
	if hostKey.Len() == 0 {
		return fmt.Errorf("hostKey is absent or empty: the target could be anybody; give its host key, or %s to trust whoever answers", sshkey.AcceptAny)
	}
	if s.hostKeys, err = sshkey.ParseHostKeys(hostKey.Bytes()); err != nil {
		return err
	}
	return s.readSecrets(set)
}

func (s *settings) readSecrets(set *secret.Set) (err error) {
	s.password, _ = set.Get("password")
	private, _ := set.Get("privateKey")
	passphrase, _ := set.Get("passphrase")
	certificate, _ := set.Get("certificate")
	switch {
	case private.Len() > 0:
		s.signer, err = sshkey.Signer(private, passphrase, certificate)
		return err
	case certificate.Len() > 0:
		return errors.New("certificate is there without its privateKey")
	case s.password.Len() == 0:
		return errors.New("privateKey and password are both absent or empty; look at what their provider returns")
	}
	return nil
}

// parseAddress reads host, host:port, an IPv6 literal or [literal]:port.
func parseAddress(text string) (target.Address, error) {
	if strings.HasPrefix(text, "/") {
		return target.Address{}, fmt.Errorf("address %q is a path; SSH targets are reached over TCP", text)
	}
	host, port := text, ""
	if net.ParseIP(text) == nil && strings.Contains(text, ":") && !strings.HasSuffix(text, "]") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil || port == "" {
			return target.Address{}, fmt.Errorf("address %q is neither host nor host:port; an IPv6 address with a port is written [::1]:22", text)
		}
	}
	address, err := target.ParseAddress(host, port, defaultPort)
	if err != nil {
		return target.Address{}, fmt.Errorf("address: %w", err)
	}
	return address, nil
}

// methods are the ways to log in, in the order they are tried (RFC 4252).
func (s *settings) methods() []ssh.AuthMethod {
	var out []ssh.AuthMethod
	if s.signer != nil {
		out = append(out, ssh.PublicKeys(s.signer))
	}
	if s.password.Len() > 0 {
		answer := &passwordAnswer{password: s.password}
		out = append(out,
			ssh.PasswordCallback(func() (string, error) { return s.password.Borrow(), nil }),
			ssh.KeyboardInteractive(answer.challenge))
	}
	return out
}

// passwordAnswer answers keyboard-interactive authentication (RFC 4256) where
// it asks for a password and for nothing else.
type passwordAnswer struct {
	password secret.Value
	given    bool
	rounds   int
}

// maxRounds bounds the requests of one keyboard-interactive dialogue; those
// without a question are notices.
const maxRounds = 8

func (a *passwordAnswer) challenge(_, _ string, questions []string, echos []bool) ([]string, error) {
	if a.rounds++; a.rounds > maxRounds {
		return nil, errors.New("the target keeps asking in keyboard-interactive authentication")
	}
	switch {
	case len(questions) == 0:
		return nil, nil
	case len(questions) > 1 || echos[0]:
		return nil, errors.New("the target asks for more than a password in keyboard-interactive authentication")
	case a.given:
		return nil, errors.New("the target asks for something after the password in keyboard-interactive authentication")
	}
	a.given = true
	return []string{a.password.Borrow()}, nil
}
