package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/wire/readahead"
)

func FuzzStartupPacket(f *testing.F) {
	f.Add(plainStartup[4:])
	f.Add([]byte("\x00\x03\x00\x02user\x00a\x00_pq_.x\x00\x00\x00"))
	f.Add([]byte("\x00\x03\x00\x00"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > maxStartup {
			return
		}
		parsed, err := parseStartup(packet)
		if err != nil {
			return
		}
		out, err := parsed.encode(nil)
		if err != nil {
			t.Fatalf("%q was read but cannot be written: %v", packet, err)
		}
		if !bytes.Equal(out[4:], packet) {
			t.Fatalf("%q became %q", packet, out[4:])
		}
	})
}

// scripted is a client that says what it was told and hears what it is told.
type scripted struct {
	net.Conn
	says io.Reader
	told bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error)       { return s.says.Read(p) }
func (s *scripted) Write(p []byte) (int, error)      { return s.told.Write(p) }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

func FuzzGreeting(f *testing.F) {
	f.Add(plainStartup)
	f.Add(append(request(codeSSL), plainStartup...))
	f.Add(request(codeGSSENC))
	f.Add([]byte{22, 3, 1, 0, 0})
	f.Add(append(binary.BigEndian.AppendUint32(nil, 16), binary.BigEndian.AppendUint32(nil, codeCancel)...))
	f.Fuzz(func(t *testing.T, says []byte) {
		// One byte at a time and all at once must mean the same, requests for
		// encryption aside, which forbid bytes behind them.
		slow, slowErr := greetWith(iotest.OneByteReader(bytes.NewReader(says)))
		fast, fastErr := greetWith(bytes.NewReader(says))
		if fastErr == nil && slowErr != nil {
			t.Fatalf("%q: %v when slow", says, slowErr)
		}
		if fast.startup != nil && (slow.startup == nil || fast.startup.version>>16 != protocol3) {
			t.Fatalf("%q: %+v, %+v", says, fast, slow)
		}
		if fastErr != nil && connector.KindOf(fastErr) == connector.KindInternal {
			t.Fatalf("%q: %v", says, fastErr)
		}
	})
}

func greetWith(says io.Reader) (opening, error) {
	client := &scripted{says: says}
	in := readahead.New(client)
	return (&greeting{session: &connector.Session{Client: client}, in: in}).read()
}

func FuzzTargetMessages(f *testing.F) {
	f.Add([]byte("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I"))
	f.Add([]byte("E\x00\x00\x00\x06M\x00"))
	f.Add([]byte("R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"))
	f.Add([]byte("R\x00\x00\x00\x0c\x00\x00\x00\x05salt"))
	f.Add([]byte("K\x00\x00\x00\x0c\x00\x00\x00\x01abcd"))
	f.Fuzz(func(t *testing.T, says []byte) {
		c := newConnector(Config{ChannelBinding: bindingPrefer, MinIterations: 1, MaxIterations: 10})
		defer c.Close()
		conn := &scripted{says: bytes.NewReader(says)}
		l := &login{connector: c, conn: conn, in: c.buffers.Get(conn)}
		l.settings.username = "app"
		l.settings.password, _ = setOf(map[string]string{"password": "sesame-8731"}).Get("password")
		_, err := l.run(context.Background(), nil)
		if err == nil && !bytes.Contains(says, []byte{'Z'}) {
			t.Fatalf("%q: logged in without ReadyForQuery", says)
		}
		if connector.KindOf(err) == connector.KindInternal && err != nil {
			t.Fatalf("%q: %v", says, err)
		}
		if bytes.Contains(conn.told.Bytes(), []byte("sesame-8731")) {
			t.Fatalf("%q: the password was sent in clear text", says)
		}
	})
}

func (s *scripted) SetDeadline(time.Time) error { return nil }

func FuzzMechanisms(f *testing.F) {
	f.Add([]byte("SCRAM-SHA-256\x00\x00"))
	f.Add([]byte("SCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, list []byte) {
		var request pgproto3.AuthenticationSASL
		if request.Decode(append(binary.BigEndian.AppendUint32(nil, pgproto3.AuthTypeSASL), list...)) != nil {
			return
		}
		c := newConnector(Config{ChannelBinding: bindingPrefer})
		defer c.Close()
		a := newAuthenticator(&login{connector: c, conn: &scripted{}})
		if got, err := a.mechanism(request.AuthMechanisms); err == nil && got != mechanismScram {
			t.Fatalf("%q: %s without TLS", list, got)
		}
	})
}

func FuzzServerFirst(f *testing.F) {
	f.Add("r=abc,s=c2FsdA==,i=4096")
	f.Add("r=abc,s=c2FsdA==,i=4096,x=y")
	f.Add("m=x,r=abc,s=c2FsdA==,i=1")
	f.Add("r=,s=,i=+1")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := parseServerFirst(text)
		if err == nil && (first.iterations < 1 || len(first.salt) == 0 || len(first.salt) > maxSalt) {
			t.Fatalf("%q: %+v", text, first)
		}
	})
}
