package ssh

import (
	"context"
	"net"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
)

// Check logs in as for a client that names no user and opens no channel.
func (c *Connector) Check(ctx context.Context, s *connector.Session) (report connector.Report, err error) {
	err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) error {
		settings, err := readSettings(set, "")
		if err != nil {
			return err
		}
		report.Target = settings.address.String()
		out, err := logIn(ctx, s, set, nobody{})
		if err != nil {
			return err
		}
		defer out.close()
		report.TLS = "SSH, host key " + sshkey.Fingerprint(out.hostKey)
		report.Detail = database.Quote(string(out.conn.ServerVersion()))
		if report.Unverified = settings.hostKeys.AcceptsAny(); report.Unverified {
			report.TLS += ", not verified"
		}
		return nil
	})
	return report, err
}

// nobody is the client of a check.
type nobody struct{ ssh.ConnMetadata }

// User is left to the credentials.
func (nobody) User() string { return "" }

// ClientVersion makes the target be greeted as for OpenSSH.
func (nobody) ClientVersion() []byte { return []byte("SSH-2.0-OpenSSH_secretless") }

// RemoteAddr is none.
func (nobody) RemoteAddr() net.Addr { return nil }
