package sshagent

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"secretless/internal/wire/sshagentwire"
)

// maxShown bounds what of a client's words gets into the audit and a question.
const maxShown = 64

// purpose is what a signature is for, as far as the data and the connection's
// bindings tell.
type purpose struct {
	login bool
	user  string
	// host is the fingerprint of the host's key; empty where it is not known.
	host string
	// namespace is that of an SSHSIG.
	namespace string
}

func purposeOf(data []byte, at *binding) purpose {
	if u, ok := sshagentwire.ParseUserauth(data); ok {
		p := purpose{login: true, user: u.User}
		if at != nil && bytes.Equal(at.sessionID, u.SessionID) {
			p.host = at.fingerprint
		}
		return p
	}
	namespace, _ := sshagentwire.ParseSSHSIG(data)
	return purpose{namespace: namespace}
}

// String is the purpose in a few words, on one line.
func (p purpose) String() string {
	switch {
	case p.login && p.host != "":
		return fmt.Sprintf("login as %s on host %s", quote(p.user), p.host)
	case p.login:
		return fmt.Sprintf("login as %s on an unknown host", quote(p.user))
	case p.namespace != "":
		return fmt.Sprintf("SSHSIG signature in namespace %s", quote(p.namespace))
	}
	return "signature of other data"
}

// quote shows a client's word so that it cannot pass for more than a word.
func quote(word string) string {
	if len(word) > maxShown {
		word = strings.ToValidUTF8(word[:maxShown], "") + "…"
	}
	return strconv.QuoteToASCII(word)
}

// checkDestination is for services with allowHosts: request must be a login
// with its key, in the session that the connection is bound to. The host was
// judged before.
func checkDestination(request sshagentwire.SignRequest, at *binding) error {
	u, ok := sshagentwire.ParseUserauth(request.Data)
	switch {
	case !ok:
		return errors.New("it is not for a login, and this service has allowHosts")
	case at == nil:
		return errors.New("the client has not told by session-bind which host it logs in to, and this service has allowHosts; OpenSSH does from version 8.9 on")
	case !bytes.Equal(u.SessionID, at.sessionID):
		return errors.New("it is for another session than the one that the connection is bound to")
	case !bytes.Equal(u.Key, request.Key):
		return errors.New("it is for a login with another key")
	case u.HostKey != nil && !bytes.Equal(u.HostKey, at.hostKey):
		return errors.New("it is for a login at another host than the one that the connection is bound to")
	}
	return nil
}
