package admin_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/admin"
)

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs h until the test ends.
func serve(t *testing.T, l net.Listener, h http.Handler) *admin.Server {
	t.Helper()
	s := admin.Serve(l, h, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Close(ctx)
	})
	return s
}

// ask sends a request by hand and returns the status line and the body.
func ask(t *testing.T, c net.Conn, method, path string) (int, string) {
	t.Helper()
	return exchange(t, c, method, path, "")
}

func exchange(t *testing.T, c net.Conn, method, path, body string) (int, string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(answer))
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestHealth(t *testing.T) {
	var ready atomic.Bool
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l, admin.Health(ready.Load))
	for _, test := range []struct {
		ready        bool
		method, path string
		code         int
		body         string
	}{
		{false, "GET", "/live", 200, `{"live":true}`},
		{false, "GET", "/ready", 503, `{"ready":false}`},
		{true, "GET", "/live", 200, `{"live":true}`},
		{true, "GET", "/ready", 200, `{"ready":true}`},
		{true, "POST", "/ready", 405, "Method Not Allowed"},
		{true, "GET", "/status", 404, "404 page not found"}, // nothing but health
		{true, "POST", "/reload", 404, "404 page not found"},
	} {
		ready.Store(test.ready)
		if code, body := ask(t, dial(t, l), test.method, test.path); code != test.code || body != test.body {
			t.Errorf("%s %s: %d %s", test.method, test.path, code, body)
		}
	}
}

// Clients that keep their connections do not take the broker's descriptors:
// the others wait until one of them has gone.
func TestConnectionsAreBounded(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	counted := &counting{Listener: l}
	serve(t, counted, admin.Health(func() bool { return true }))
	var idle []net.Conn
	for range 64 {
		c := dial(t, l)
		ask(t, c, "GET", "/live") // it has its place
		idle = append(idle, c)
	}
	late := dial(t, l)
	_, _ = io.WriteString(late, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = late.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := late.Read(make([]byte, 1)); err == nil || counted.n.Load() != 64 {
		t.Errorf("%d connections are served, %v", counted.n.Load(), err)
	}
	_ = idle[7].Close()
	_ = late.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := late.Read(make([]byte, 1)); err != nil {
		t.Errorf("the one that waited: %v", err)
	}
}

type counting struct {
	net.Listener
	n atomic.Int64
}

func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func TestHeaderIsBounded(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	serve(t, l, admin.Health(func() bool { return true }))
	c := dial(t, l)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET /live HTTP/1.1\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if !strings.Contains(string(answer), "431 ") {
		t.Errorf("got %.60q", answer)
	}
}
