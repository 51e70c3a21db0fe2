package ssh

import (
	"context"
	"errors"
	"net"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
)

// errUserUnknown ends a check that cannot log in: there is nothing wrong, and
// the credentials have not been tried.
var errUserUnknown = errors.New("the user is each client's")

// Check logs in as for a client that opens no channel. Where the user is each
// client's, it verifies the host key and leaves.
func (c *Connector) Check(ctx context.Context, s *connector.Session) (report connector.Report, err error) {
	err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) error {
		settings, err := readSettings(set, nobody{}.User())
		if err != nil {
			return err
		}
		report.Target = settings.address.String()
		if !settings.named {
			key, err := seeHostKey(ctx, s, settings)
			if err != nil {
				return err
			}
			describeHostKey(&report, key, settings)
			report.Detail = "the login was not tried: the user is each client's, since the credential user is absent"
			return errUserUnknown
		}
		out, err := logIn(ctx, s, set, nobody{})
		if err != nil {
			return err
		}
		defer out.close()
		describeHostKey(&report, out.hostKey, settings)
		report.Detail = database.Quote(string(out.conn.ServerVersion()))
		return nil
	})
	if errors.Is(err, errUserUnknown) {
		err = nil
	}
	return report, err
}

func describeHostKey(report *connector.Report, key ssh.PublicKey, settings settings) {
	report.TLS = "SSH, host key " + sshkey.Fingerprint(key)
	if report.Unverified = settings.hostKeys.AcceptsAny(); report.Unverified {
		report.TLS += ", not verified"
	}
}

// nobody is the client of a check.
type nobody struct{ ssh.ConnMetadata }

// User is for the credentials to say; this one is never told to a target.
func (nobody) User() string { return "nobody" }

// ClientVersion makes the target be greeted as for OpenSSH.
func (nobody) ClientVersion() []byte { return []byte("SSH-2.0-OpenSSH_secretless") }

// RemoteAddr is none.
func (nobody) RemoteAddr() net.Addr { return nil }
