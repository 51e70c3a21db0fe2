package mssql

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
	"secretless/internal/wire/readahead"
	"secretless/internal/wire/tds"
)

func setOf(values map[string]string) *secret.Set {
	out := map[string]secret.Value{}
	for name, text := range values {
		out[name] = secret.Copy(text)
	}
	return secret.NewSet(out)
}

// scripted is a peer that says what it was told and hears what it is told.
type scripted struct {
	net.Conn
	says io.Reader
	told bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error)  { return s.says.Read(p) }
func (s *scripted) Write(p []byte) (int, error) { return s.told.Write(p) }
func (s *scripted) SetDeadline(time.Time) error { return nil }
func (s *scripted) Close() error                { return nil }

func FuzzGreeting(f *testing.F) {
	f.Add(append(clientPrelogin(tds.EncryptOff, 1), loginMessage(clientLogin())...))
	f.Add(loginMessage(clientLogin()))
	f.Add([]byte{tlsHandshake, 3, 1, 0, 0})
	f.Fuzz(func(t *testing.T, says []byte) {
		slow, slowErr := greetWith(iotest.OneByteReader(bytes.NewReader(says)))
		fast, fastErr := greetWith(bytes.NewReader(says))
		if (fastErr == nil) != (slowErr == nil) || (fast == nil) != (slow == nil) {
			t.Fatalf("%q: %v, when slow %v", says, fastErr, slowErr)
		}
		if fastErr != nil && connector.KindOf(fastErr) == connector.KindInternal {
			t.Fatalf("%q: %v", says, fastErr)
		}
		if fast != nil {
			_ = fast.acceptable()
		}
	})
}

func greetWith(says io.Reader) (*opening, error) {
	client := &scripted{says: says}
	return (&greeting{session: &connector.Session{Client: client}, in: readahead.New(client), known: facts{mars: true}}).read()
}

func FuzzTargetAnswers(f *testing.F) {
	f.Add(append(serverPrelogin(tds.EncryptNotSupported, 1), welcome(tds.Version74)...), true)
	f.Add(append(serverPrelogin(tds.EncryptNotSupported, 0), sorry(loginFailed)...), false)
	f.Add(append(serverPrelogin(tds.EncryptNotSupported, 0), reply(tds.Routing{Server: "a", Port: 1}.Append(nil))...), false)
	f.Fuzz(func(t *testing.T, says []byte, mars bool) {
		settings, err := readSettings(setOf(map[string]string{"host": "h", "username": "app", "password": "sesame-8731", "sslmode": "disable"}))
		if err != nil {
			t.Fatal(err)
		}
		conn := &scripted{says: iotest.OneByteReader(bytes.NewReader(says))}
		l := &login{
			connector: newConnector(), settings: settings, in: readahead.New(conn), conn: conn,
			client: &opening{mars: mars, login: clientLogin()},
			plan:   database.Plan{Address: target.Address{Host: "h", Port: 1433}},
		}
		answer, err := l.prelogin(context.Background(), tds.EncryptNotSupported)
		if err == nil {
			_, err = l.agreed(tds.EncryptNotSupported, answer)
		}
		var route *tds.Routing
		if err == nil {
			_, route, err = l.run(context.Background())
		}
		if route != nil {
			_, err = l.follow(*route)
		}
		if err != nil && connector.KindOf(err) == connector.KindInternal {
			t.Fatalf("%q: %v", says, err)
		}
		if err != nil && len(response(&connector.Session{Service: "s"}, err, tds.Version74)) == 0 {
			t.Fatalf("%q: the client is not told of %v", says, err)
		}
	})
}
