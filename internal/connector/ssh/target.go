package ssh

import (
	"context"
	"net"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
	"secretless/internal/target"
)

// upstream is a target that was logged in to.
type upstream struct {
	side
	banners []string
	hostKey ssh.PublicKey
	target  connector.Target
}

// maxBanners bounds the texts of a target before its login, in bytes.
const maxBanners = 64 << 10

// login is one attempt to log in to a target. Its methods run one after the
// other, in the library's handshake.
type login struct {
	settings settings
	version  string
	// releasing is around the connection, for the library.
	releasing *releasing
	greeting  *greeting
	banners   []string
	shown     int   // bytes of banners
	hostKey   error // why the target's key was not taken
	shownKey  ssh.PublicKey
	keyed     bool // the key exchange came to an end
	keyOnly   bool // that end is all that is wanted
	tried     []string
	offered   []string
}

// logIn opens a connection to the target of set for the client. What it
// returns is the caller's to close.
func logIn(ctx context.Context, s *connector.Session, set *secret.Set, client ssh.ConnMetadata) (*upstream, error) {
	settings, err := readSettings(set, client.User())
	if err != nil {
		return nil, err
	}
	conn, err := dialTarget(ctx, s, settings)
	if err != nil {
		return nil, err
	}
	l := &login{settings: settings, version: versionFor(client.ClientVersion())}
	out, err := l.run(ctx, conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return out, nil
}

func dialTarget(ctx context.Context, s *connector.Session, settings settings) (net.Conn, error) {
	return database.Within(ctx, s, database.Plan{Address: settings.address, Credential: "address"}.Dial)
}

// seeHostKey connects and leaves once the target's host key is verified.
func seeHostKey(ctx context.Context, s *connector.Session, settings settings) (ssh.PublicKey, error) {
	conn, err := dialTarget(ctx, s, settings)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	l := &login{settings: settings, version: versionFor(nobody{}.ClientVersion()), keyOnly: true}
	if _, err = l.run(ctx, conn); l.keyed {
		return l.shownKey, nil
	}
	return nil, err
}

func (l *login) run(ctx context.Context, conn net.Conn) (*upstream, error) {
	defer target.Watch(ctx, conn)()
	l.greeting = &greeting{Conn: conn}
	l.releasing = &releasing{Conn: l.greeting}
	client, channels, requests, err := ssh.NewClientConn(l.releasing, l.settings.address.String(), l.config())
	if err != nil {
		return nil, l.failure(ctx, err)
	}
	l.releasing.of(client)
	// The transport keeps the callbacks of l for the next key exchange; the
	// key and the password are not for keeping.
	l.settings.signer, l.settings.password = nil, secret.Value{}
	return &upstream{side{client, channels, requests}, l.banners, l.shownKey, l.reached(conn)}, nil
}

// reached is who answered, for the audit.
func (l *login) reached(conn net.Conn) connector.Target {
	t := connector.Target{
		Address: l.settings.address.String(), HostKey: sshkey.Fingerprint(l.shownKey),
		Verified: !l.settings.hostKeys.AcceptsAny(),
	}
	if !l.settings.address.Unix() {
		t.Remote = conn.RemoteAddr().String()
	}
	return t
}

func (l *login) config() *ssh.ClientConfig {
	return &ssh.ClientConfig{
		Config:            algorithms(),
		User:              l.settings.user,
		Auth:              l.settings.methods(),
		ClientVersion:     l.version,
		HostKeyAlgorithms: l.settings.hostKeys.Algorithms(l.settings.address.String()),
		HostKeyCallback: func(address string, remote net.Addr, key ssh.PublicKey) error {
			l.shownKey, l.hostKey = key, l.settings.hostKeys.Check(address, remote, key)
			l.keyed = l.hostKey == nil
			if l.keyed && l.keyOnly {
				return errUserUnknown
			}
			return l.hostKey
		},
		BannerCallback: l.banner,
		AuthCallback:   l.progress,
	}
}

// banner keeps a text of the target's for the client, who sees it when the
// login has succeeded.
func (l *login) banner(text string) error {
	if l.shown += len(text); l.shown <= maxBanners {
		l.banners = append(l.banners, text)
	}
	return nil
}

// progress notes what was tried, for the message when nothing is left to try.
func (l *login) progress(a *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	l.releasing.of(a.Metadata)
	l.tried, l.offered = a.TriedMethods, a.AllowedMethods
	return nil, nil
}
