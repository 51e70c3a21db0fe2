package mysql

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"secretless/internal/wire/mysqlwire"

	"secretless/internal/connector/connectortest"
)

const sesame = "sesame-8731"

// peer is one end of a scripted conversation. It reads no byte more than it
// has to.
type peer struct {
	conn     net.Conn
	sequence byte // of the last packet read
}

func newPeer(conn net.Conn) *peer { return &peer{conn: conn} }

func (p *peer) next() ([]byte, error) {
	var header [mysqlwire.HeaderSize]byte
	if _, err := io.ReadFull(p.conn, header[:]); err != nil {
		return nil, err
	}
	p.sequence = header[3]
	payload := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	_, err := io.ReadFull(p.conn, payload)
	return payload, err
}

func (p *peer) send(packet []byte) error {
	_, err := p.conn.Write(packet)
	return err
}

// response41 makes test packets of answers.
type response41 struct{ mysqlwire.HandshakeResponse41 }

func (r response41) packet(sequence byte) []byte {
	out, _ := r.Append(nil, sequence) // fails for texts with NUL alone
	return out
}

// plainResponse is the answer of a client that knows no password.
func plainResponse() response41 {
	return response41{mysqlwire.HandshakeResponse41{
		Capabilities: universal | mysqlwire.ClientPluginAuthLenencClientData, MaxPacketSize: 1 << 24, Charset: 45,
		User: "nobody", Database: "app", Plugin: pluginNative, Attributes: []byte("\x04_pid\x0242"),
	}}
}

// targetGreeting is that of a target without TLS.
func targetGreeting() mysqlwire.HandshakeV10 {
	return mysqlwire.HandshakeV10{
		ServerVersion: "8.0.36", ConnectionID: 77, Scramble: []byte("abcdefghijklmnopqrst"),
		Capabilities: offerable &^ extended, Charset: 45, Status: autocommit, Plugin: pluginNative,
	}
}

func accessDenied() mysqlwire.ERR {
	return mysqlwire.ERR{Number: 1045, State: "28000", Message: "Access denied for user 'app'@'localhost' (using password: YES)"}
}

// fakeTarget is a scripted target.
type fakeTarget struct{ *connectortest.Scripted }

func newFakeTarget(t *testing.T, script func(conn net.Conn)) *fakeTarget {
	t.Helper()
	return &fakeTarget{connectortest.NewScripted(t, script)}
}

func (f *fakeTarget) creds(more ...string) map[string]string { return f.Creds(sesame, more...) }

// talk answers the greeting and returns the packet that follows.
func talk(t *testing.T, f *front, answer []byte) []byte {
	t.Helper()
	p := newPeer(dial(t, f))
	payload, err := p.next()
	if err != nil {
		t.Fatal(err)
	}
	if mysqlwire.KindOf(payload) == mysqlwire.KindERR {
		return payload
	}
	if err := p.send(answer); err != nil {
		t.Fatal(err)
	}
	payload, err = p.next()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func dial(t *testing.T, f *front) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	return conn
}

// shown is an ERR as "number SQLSTATE text", with the target's port replaced
// by PORT and without the place where the broker's log says more.
func shown(t *testing.T, target *fakeTarget, payload []byte) string {
	t.Helper()
	if mysqlwire.KindOf(payload) != mysqlwire.KindERR {
		return fmt.Sprintf("no error but %q", payload)
	}
	e, err := mysqlwire.ParseERR(payload)
	if err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	text := fmt.Sprintf("%d %s %s", e.Number, e.State, e.Message)
	text, _, _ = strings.Cut(text, " (service orders-db, ")
	if target != nil {
		text = strings.ReplaceAll(text, ":"+target.Port(), ":PORT")
	}
	return text
}

// parseGreeting reads the broker's greeting.
func parseGreeting(t *testing.T, p *peer) mysqlwire.HandshakeV10 {
	t.Helper()
	payload, err := p.next()
	if err != nil {
		t.Fatal(err)
	}
	h, err := mysqlwire.ParseHandshakeV10(payload)
	if err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	return h
}
