package tdsserver_test

import (
	"io"
	"net"
	"testing"
	"time"

	"secretless/internal/testenv/tdsserver"
)

// A client that breaks the protocol is left, and the server goes on.
func TestBrokenClients(t *testing.T) {
	s := start(t, tdsserver.Config{})
	for name, sent := range map[string]string{
		"nothing":                  "",
		"http":                     "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"short length":             "\x12\x01\x00\x03\x00\x00\x00\x00",
		"endless PRELOGIN":         "\x12\x00\xFF\xFF\x00\x00\x00\x00" + string(make([]byte, 0xFFF7)),
		"PRELOGIN without end":     "\x12\x01\x00\x0A\x00\x00\x00\x00\x00\x00",
		"LOGIN7 of zeros":          "\x10\x01\x00\x70\x00\x00\x00\x00" + string(make([]byte, 0x68)),
		"TLS that is none":         "\x16\x03\x01\x00\x05hello",
		"batch before a login":     "\x01\x01\x00\x0A\x00\x00\x00\x00\x00\x00",
		"PRELOGIN, then not LOGIN": "\x12\x01\x00\x0F\x00\x00\x00\x00\x01\x00\x06\x00\x01\xFF\x02\x01\x01\x00\x08\x00\x00\x00\x00",
	} {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, sent)
		if half, ok := conn.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
			t.Errorf("%s: the server keeps the connection: %v", name, err)
		}
		_ = conn.Close()
	}
	if got := one[string](t, open(t, dsn(s, "app", password)), "select suser_name()"); got != "app" {
		t.Error(got)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

// Stop does not wait for clients, not even for those in a statement.
func TestStopEndsSessions(t *testing.T) {
	s := start(t, tdsserver.Config{})
	db := open(t, dsn(s, "app", password))
	ended := make(chan error, 1)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	go func() {
		_, err := conn.ExecContext(t.Context(), "waitfor delay '01:00'")
		ended <- err
	}()
	s.Stop()
	if err := <-ended; err == nil {
		t.Error("a statement outlived its server")
	}
}
