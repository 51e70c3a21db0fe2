package connectortest

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Scripted is a target for a connector's own tests: each connection runs a
// script and is closed behind it.
type Scripted struct {
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
}

// NewScripted listens until the test ends.
func NewScripted(t testing.TB, script func(conn net.Conn)) *Scripted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Scripted{listener: listener}
	s.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.running.Go(func() {
				defer func() { _ = conn.Close() }()
				_ = conn.SetDeadline(time.Now().Add(patience))
				script(conn)
			})
		}
	})
	t.Cleanup(s.Close)
	return s
}

// Close ends every connection and waits for its script.
func (s *Scripted) Close() {
	_ = s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Connections is how many there have been.
func (s *Scripted) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Port is where it listens on 127.0.0.1.
func (s *Scripted) Port() string {
	return strconv.Itoa(s.listener.Addr().(*net.TCPAddr).Port)
}

// Creds are credentials for it, over plain TCP unless more, in pairs, says
// otherwise.
func (s *Scripted) Creds(password string, more ...string) map[string]string {
	out := map[string]string{"host": "127.0.0.1", "port": s.Port(), "username": "app", "password": password, "sslmode": "disable"}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}
