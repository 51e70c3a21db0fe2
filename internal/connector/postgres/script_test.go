package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector/connectortest"
)

// startupPacket is a startup packet with names and values in turn.
func startupPacket(version uint32, pairs ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, version)
	for _, p := range pairs {
		body = append(append(body, p...), 0)
	}
	return packet(append(body, 0))
}

// packet puts a length word in front of body.
func packet(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

func request(code uint32) []byte { return packet(binary.BigEndian.AppendUint32(nil, code)) }

var plainStartup = startupPacket(pgproto3.ProtocolVersion30, "user", "nobody", "database", "app")

// encode is the bytes of the target's messages.
func encode(t testing.TB, messages ...pgproto3.BackendMessage) []byte {
	t.Helper()
	var out []byte
	for _, m := range messages {
		var err error
		if out, err = m.Encode(out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// welcome is what a target sends once it is content with the client.
func welcome(t testing.TB) []byte {
	return encode(t, &pgproto3.AuthenticationOk{},
		&pgproto3.ParameterStatus{Name: "server_version", Value: "15"},
		&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}},
		&pgproto3.ReadyForQuery{TxStatus: 'I'})
}

// fakeTarget is a scripted target.
type fakeTarget struct{ *connectortest.Scripted }

func newFakeTarget(t *testing.T, script func(conn net.Conn)) *fakeTarget {
	t.Helper()
	return &fakeTarget{connectortest.NewScripted(t, script)}
}

func (f *fakeTarget) creds(more ...string) map[string]string { return f.Creds("sesame-8731", more...) }

// readPacket reads one startup packet, length word included.
func readPacket(conn net.Conn) ([]byte, error) {
	var word [4]byte
	if _, err := io.ReadFull(conn, word[:]); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(word[:])-4)
	_, err := io.ReadFull(conn, rest)
	return append(word[:], rest...), err
}

// readMessage reads one message behind the startup packet.
func readMessage(conn net.Conn) (kind byte, body []byte, err error) {
	var header [5]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	_, err = io.ReadFull(conn, body)
	return header[0], body, err
}

// say is a script that reads the startup packet and sends text.
func say(text []byte) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := readPacket(conn); err == nil {
			_, _ = conn.Write(text)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// talk sends what a client says and returns all it gets until the close.
func talk(t *testing.T, f *front, says []byte) []byte {
	t.Helper()
	conn := dial(t, f)
	if _, err := conn.Write(says); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", answer, err)
	}
	return answer
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

// shown is an ErrorResponse as "SQLSTATE text", with the port of the target
// replaced by PORT.
func shown(t *testing.T, target *fakeTarget, answer []byte) string {
	t.Helper()
	if len(answer) < headerSize || answer[0] != 'E' {
		return fmt.Sprintf("no error but %q", answer)
	}
	var e pgproto3.ErrorResponse
	if err := e.Decode(answer[headerSize:]); err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	text := e.Code + " " + e.Message
	if target != nil {
		text = strings.ReplaceAll(text, ":"+target.Port(), ":PORT")
	}
	return text
}
