package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
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

// fakeTarget is a scripted target; each connection runs script and is closed.
type fakeTarget struct {
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

func newFakeTarget(t *testing.T, script func(conn net.Conn)) *fakeTarget {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTarget{listener: listener}
	f.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			f.mu.Unlock()
			f.running.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				script(conn)
			})
		}
	})
	t.Cleanup(f.close)
	return f
}

func (f *fakeTarget) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}

// creds are credentials for the target, plain unless more says otherwise.
func (f *fakeTarget) creds(more ...string) map[string]string {
	_, port, _ := net.SplitHostPort(f.listener.Addr().String())
	out := map[string]string{"host": "127.0.0.1", "port": port, "username": "app", "password": "sesame-8731", "sslmode": "disable"}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

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
	conn, err := net.Dial("tcp", f.addr())
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
		_, port, _ := net.SplitHostPort(target.listener.Addr().String())
		text = strings.ReplaceAll(text, ":"+port, ":PORT")
	}
	return text
}
