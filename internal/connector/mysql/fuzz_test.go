package mysql

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
	"secretless/internal/wire/mysqlwire"
	"secretless/internal/wire/readahead"
)

// scripted is a peer that says what it was told and hears what it is told.
type scripted struct {
	net.Conn
	says io.Reader
	told bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error)       { return s.says.Read(p) }
func (s *scripted) Write(p []byte) (int, error)      { return s.told.Write(p) }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }
func (s *scripted) Close() error                     { return nil }

// FuzzClient: whatever a client says, it is let in as far as the target or
// told why not, and never asked for its password.
func FuzzClient(f *testing.F) {
	f.Add(plainResponse().packet(1))
	caching := plainResponse()
	caching.Plugin = pluginCaching
	f.Add(append(caching.packet(1), mysqlwire.AppendPacket(nil, 3, []byte("answer"))...))
	clear := plainResponse()
	clear.Plugin, clear.AuthResponse = pluginClear, []byte("own\x00")
	f.Add(clear.packet(1))
	f.Add(clear.AppendSSLRequest(nil, 1))
	f.Fuzz(func(t *testing.T, says []byte) {
		conn := &scripted{says: bytes.NewReader(says)}
		c := &client{session: &connector.Session{Client: conn}, in: readahead.New(conn)}
		var none learned
		err := c.greet(none.greeting(Config{}))
		if err != nil && len(says) > 0 && connector.KindOf(err) == connector.KindInternal {
			t.Fatalf("%q: %v", says, err)
		}
		if err == nil && c.finish(mysqlwire.OK{}.Append(nil, 0)[mysqlwire.HeaderSize:]) != nil {
			t.Fatalf("%q: the result cannot be told", says)
		}
		if bytes.Contains(conn.told.Bytes(), []byte(pluginClear)) || bytes.Contains(conn.told.Bytes(), []byte(pluginSHA256)) {
			t.Fatalf("%q: asked for a password: %q", says, conn.told.Bytes())
		}
	})
}

// FuzzTarget: whatever a target says, the login ends, and over an unencrypted
// connection the password is not sent in clear text.
func FuzzTarget(f *testing.F) {
	join := func(packets ...[]byte) []byte { return bytes.Join(packets, nil) }
	f.Add(join(greeted(nil), mysqlwire.OK{}.Append(nil, 2)), true)
	f.Add(join(greeted(nil), accessDenied().Append(nil, 2)), true)
	f.Add(join(withPlugin(pluginCaching), mysqlwire.AppendAuthMoreData(nil, 2, performFullAuth), mysqlwire.AppendAuthMoreData(nil, 4, []byte("-----BEGIN PUBLIC KEY-----")...)), true)
	f.Add(join(withPlugin(pluginSHA256), mysqlwire.AppendAuthMoreData(nil, 2)), false)
	f.Add(join(greeted(nil), switchTo(pluginClear, "", 2), mysqlwire.OK{}.Append(nil, 4)), false)
	f.Add(join(greeted(nil), switchTo(pluginEd25519, goodChallenge[:20]+goodChallenge[:12], 2), mysqlwire.OK{}.Append(nil, 4)), false)
	f.Fuzz(func(t *testing.T, says []byte, disabled bool) {
		conn := &scripted{says: bytes.NewReader(says)}
		mode := target.Prefer
		if disabled {
			mode = target.Disable
		}
		l := &login{
			connector: newConnector(Config{Greeting: greetLearned}), session: &connector.Session{Log: slog.New(slog.DiscardHandler)},
			client: &client{greeted: true, response: plainResponse().HandshakeResponse41}, conn: conn, in: readahead.New(conn),
			settings: settings{username: "app", password: secret.Copy(sesame), plan: database.Plan{Mode: mode, Address: target.Address{Host: "db", Port: 3306}}},
		}
		if bytes.Contains(says, []byte(sesame)) {
			return
		}
		err := func() error {
			if err := l.open(context.Background()); err != nil {
				return err
			}
			if l.greeting.Capabilities.Has(mysqlwire.ClientSSL) && mode != target.Disable {
				return nil // TLS has its own tests
			}
			ok, err := (&authenticator{login: l}).run()
			if err == nil && mysqlwire.KindOf(ok) != mysqlwire.KindOK {
				t.Fatalf("%q: logged in by %q", says, ok)
			}
			if err != nil {
				return l.failed(context.Background(), "logging in", err)
			}
			return nil
		}()
		if err != nil && connector.KindOf(err) == connector.KindInternal {
			t.Fatalf("%q: %v", says, err)
		}
		if bytes.Contains(conn.told.Bytes(), []byte(sesame)) {
			t.Fatalf("%q: the password was sent in clear text", says)
		}
	})
}

// FuzzPublicKey: whatever key a target names, the password is encrypted with
// it or it is refused.
func FuzzPublicKey(f *testing.F) {
	for _, n := range []*big.Int{hugeModulus(), big.NewInt(15), new(big.Int).Lsh(big.NewInt(1), 2047)} {
		for _, e := range []int{1, 3, 65537} {
			der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: e})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(der)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		if err != nil {
			return
		}
		if out, err := encryptOAEP(key, []byte(sesame)); err == nil && (len(out) != key.Size() || bytes.Contains(out, []byte(sesame))) {
			t.Fatalf("%x: %x", der, out)
		}
	})
}
