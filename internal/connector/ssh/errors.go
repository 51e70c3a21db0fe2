package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/sshkey"
	"secretless/internal/target"
)

// failure is the failure for an error of the library's handshake with the
// target.
func (l *login) failure(ctx context.Context, err error) error {
	address := l.settings.address.String()
	_, network := errors.AsType[net.Error](err)
	negotiation, mismatch := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	switch {
	case l.hostKey != nil:
		return &connector.Failure{Kind: connector.KindTLS, Err: l.hostKey}
	case ctx.Err() == nil && l.greeting.foreign() && target.IsClosed(err):
		return database.ProtocolError("%s: the target %s closed the connection without a word of SSH; does it speak SSH? check the port in the credential address", l.doing(), address)
	case ctx.Err() != nil, network:
		return database.TargetFailure(ctx, address, l.doing(), err)
	case target.IsClosed(err):
		return database.TargetFailure(ctx, address, l.doing(), io.EOF)
	case mismatch:
		return database.Failure(connector.KindTLS, "%s: the target %s and the broker have no algorithm in common (%s); enable a current one there", l.doing(), address, libraryText(negotiation))
	case !l.keyed:
		return database.ProtocolError("%s: the target %s does not speak SSH as it should (%s)", l.doing(), address, libraryText(err))
	}
	return l.refused(address, err)
}

func (l *login) doing() string {
	if l.keyed {
		return "logging in"
	}
	return "SSH key exchange"
}

// refused is the failure of the authentication itself.
func (l *login) refused(address string, err error) error {
	user := l.user()
	used := slices.DeleteFunc(slices.Clone(l.tried), func(method string) bool { return method == "none" })
	if len(used) == 0 {
		if len(l.offered) == 0 {
			return database.Failure(connector.KindDenied, "logging in: the target %s ended the login of user %s%s", address, user, because(err))
		}
		return database.Failure(connector.KindDenied, "logging in: the target %s takes %s for user %s, and the credentials of the service are for none of these %s",
			address, database.Quote(strings.Join(l.offered, ", ")), user, because(err))
	}
	return database.Failure(connector.KindRejected, "logging in: the target %s refused user %s with %s%s; check the credentials of the service, and the target's log%s",
		address, user, strings.Join(used, ", "), l.fingerprint(), because(err))
}

// user names who was to be logged in, and who has said so.
func (l *login) user() string {
	user := strconv.Quote(database.Quote(l.settings.user))
	if l.settings.named {
		return user
	}
	return user + " (the client's, since the credential user is absent)"
}

// fingerprint names the key, so that it can be looked for in the target's
// authorized_keys.
func (l *login) fingerprint() string {
	if l.settings.signer == nil {
		return ""
	}
	return " (key " + sshkey.Fingerprint(l.settings.signer.PublicKey()) + ")"
}

// libraryText is the library's text without its prefixes, bounded: it may
// quote the target.
func libraryText(err error) string {
	text := strings.ReplaceAll(err.Error(), "ssh: ", "")
	return database.Quote(strings.TrimPrefix(text, "handshake failed: "))
}

// unasked is the library's text for a refusal (51) in place of a question (60).
const unasked = "unexpected message type 51 (expected 60)"

// because is libraryText in brackets, where it says more than that nothing is
// left to try. A server without anything to ask answers keyboard-interactive
// with a refusal where the library waits for a question.
func because(err error) string {
	text := libraryText(err)
	if strings.HasPrefix(text, "unable to authenticate") || text == unasked {
		return ""
	}
	return " (" + text + ")"
}
