package sshagent

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector/sshkey"
	"secretless/internal/wire/sshagentwire"
)

const (
	// maxBindings is how many hosts a connection may be forwarded through, as
	// in OpenSSH's agent.
	maxBindings = 16
	// maxSessionID is more than the longest hash that a key exchange yields.
	maxSessionID = 128
)

// binding is a host that the connection is known to be used for.
type binding struct {
	hostKey     []byte // in the wire form
	fingerprint string
	sessionID   []byte
	forwarding  bool
}

// bindings are those of one connection, in the order that they were made:
// hosts that the agent is forwarded through, and at the end the one to log in
// to. A binding that was refused spoils the connection for good: whoever is
// behind it could otherwise claim to be nearer than he is.
type bindings struct {
	made    []binding
	spoiled error
}

// add verifies that the host of b has signed the id of the session.
func (bs *bindings) add(b sshagentwire.SessionBind, allowForwarding bool) error {
	if bs.spoiled == nil {
		bs.spoiled = bs.try(b, allowForwarding)
	}
	return bs.spoiled
}

func (bs *bindings) try(b sshagentwire.SessionBind, allowForwarding bool) error {
	made, err := verify(b)
	switch {
	case err != nil:
		return fmt.Errorf("session-bind: %w", err)
	case b.Forwarding && !allowForwarding:
		return fmt.Errorf("the agent is forwarded to the host %s, which this service does not allow; see allowForwarding", made.fingerprint)
	}
	for _, before := range bs.made {
		sameID, sameKey := bytes.Equal(before.sessionID, made.sessionID), bytes.Equal(before.hostKey, made.hostKey)
		switch {
		case sameID && sameKey && before.forwarding == made.forwarding:
			return nil // said once more
		case sameID:
			return errors.New("session-bind: the session is bound already, in another way")
		case !before.forwarding:
			return errors.New("session-bind: the connection is bound to another login already")
		}
	}
	if len(bs.made) == maxBindings {
		return fmt.Errorf("session-bind: the agent is forwarded through more than %d hosts", maxBindings)
	}
	bs.made = append(bs.made, made)
	return nil
}

func verify(b sshagentwire.SessionBind) (binding, error) {
	key, err := ssh.ParsePublicKey(b.HostKey)
	if err != nil {
		return binding{}, errors.New("the host key cannot be read")
	}
	made := binding{
		hostKey: bytes.Clone(b.HostKey), fingerprint: sshkey.Fingerprint(key),
		sessionID: bytes.Clone(b.SessionID), forwarding: b.Forwarding,
	}
	var signature ssh.Signature
	switch err := ssh.Unmarshal(b.Signature, &signature); {
	case len(b.SessionID) == 0 || len(b.SessionID) > maxSessionID:
		return binding{}, fmt.Errorf("the session's id has %d bytes", len(b.SessionID))
	case err != nil:
		return binding{}, errors.New("the host's signature cannot be read")
	case signature.Format == ssh.KeyAlgoRSA:
		return binding{}, fmt.Errorf("the host %s signed with SHA-1", made.fingerprint)
	}
	if err := key.Verify(b.SessionID, &signature); err != nil {
		return binding{}, fmt.Errorf("the signature of the host %s over the session's id is wrong", made.fingerprint)
	}
	return made, nil
}

// destination is the host that the connection is for: the last binding, unless
// that one forwards. It is nil where the client has not told, or is beyond a
// host that the agent was forwarded to.
func (bs *bindings) destination() *binding {
	if n := len(bs.made); n > 0 && !bs.made[n-1].forwarding {
		return &bs.made[n-1]
	}
	return nil
}

// among returns an error where the connection is bound to a host that hosts
// does not have, on the way or at the end.
func (bs *bindings) among(hosts map[string]bool) error {
	for _, b := range bs.made {
		if !hosts[b.fingerprint] {
			return fmt.Errorf("the host %s is not in allowHosts", b.fingerprint)
		}
	}
	return nil
}
