package httpproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/connector"
)

// answering is the address of a target that answers each request with text, on
// a connection of its own.
func answering(t *testing.T, text string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(c, text)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-ended
	})
	return ln.Addr().String()
}

// What is about the target's connection, or between a client and its proxy, is
// not passed on behind the body either.
func TestTrailersOfOneConnection(t *testing.T) {
	target := answering(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Proxy-Authenticate\r\n\r\n4\r\nbody\r\n0\r\n"+
		"X-Sum: 1\r\nConnection: close, X-Mine\r\nX-Mine: 2\r\nKeep_alive: timeout=9\r\nProxy-Authenticate: Basic\r\nUpgrade: websocket\r\n\r\n")
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", target)})
	got := p.raw("GET http://" + target + "/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	_, behind, _ := strings.Cut(got, "\r\nbody\r\n")
	if behind != "0\r\nX-Sum: 1\r\n\r\n" || !strings.Contains(got, "\r\nTrailer: X-Sum\r\n") || strings.Contains(got, "Trailer: Proxy") {
		t.Errorf("%q", got)
	}
}

// A target that never comes to its answer is given up, whichever protocol it
// speaks.
func TestInterimAnswersAreCounted(t *testing.T) {
	both(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 200 {
			w.WriteHeader(http.StatusEarlyHints)
		}
	}, func(t *testing.T, _ *proxy, c *http.Client, tg *target) {
		var come atomic.Int64
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
			come.Add(1)
			return nil
		}})
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, tg.URL, nil)
		if status, body := do(t, c, r); status != http.StatusBadGateway || come.Load() > 64 {
			t.Errorf("%d %q behind %d", status, body, come.Load())
		}
	})
}

// Pieces of a text, which hold no whole credential, are to be had by no other
// name either, nor by another method; and what is no question is asked once.
func TestPiecesByOtherNames(t *testing.T) {
	tg := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Path == "/always" || r.Header.Get("Range")+r.Header.Get("Request-Range")+r.Header.Get("Request_range") != "" {
			w.Header().Set("Content-Range", "bytes 0-3/100")
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = io.WriteString(w, "text")
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	for _, c := range []struct {
		method, path, header string
		status, requests     int
	}{
		{"GET", "/", "Range", 200, 2},
		{"GET", "/", "Request-Range", 200, 2},
		{"GET", "/", "Request_Range", 200, 2},
		{"HEAD", "/", "Range", 206, 1},
		{"DELETE", "/", "Range", 200, 1},
		{"DELETE", "/", "Request-Range", 200, 1},
		{"DELETE", "/always", "Range", 206, 1},
	} {
		before := len(tg.requests())
		r, _ := http.NewRequestWithContext(t.Context(), c.method, tg.URL+c.path, nil)
		r.Header[c.header] = []string{"bytes=0-3"}
		if status, body := do(t, p.client(), r); status != c.status || body != map[bool]string{true: "text"}[c.method != "HEAD"] || len(tg.requests())-before != c.requests {
			t.Errorf("%s %s with %s: %d %q after %d requests", c.method, c.path, c.header, status, body, len(tg.requests())-before)
		}
	}
}

// An encoding that cannot be looked through is asked for by no other spelling.
func TestEncodingsByOtherNames(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, tg.URL, nil)
	r.Header["Accept_Encoding"] = []string{"br"}
	do(t, p.client(), r)
	if h := tg.last(t).Header; fmt.Sprint(h["Accept-Encoding"], h["Accept_encoding"]) != "[identity] []" {
		t.Errorf("%v", h)
	}
}

// A method is as long as the client likes, and what is said of it is not.
func TestLongMethod(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	method := strings.Repeat("M", 50_000)
	got := p.raw(method + " http://other.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 403 ") || len(got) > 2000 {
		t.Errorf("%d bytes: %.200q", len(got), got)
	}
	p.raw(method + " " + tg.URL + "/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if n := len(p.log.String()); n > 20_000 {
		t.Errorf("%d bytes of log", n)
	}
}

// cutting ends a session when its client has been told that there is a tunnel.
type cutting struct {
	net.Conn
	cut context.CancelFunc
}

func (c *cutting) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.cut()
	return n, err
}

// A session that ends when its tunnel begins leaves no connection to the target.
func TestTunnelOfAnEndedSession(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	p := newProxy(t, svc{name: "a", config: "hosts: [x.example], unmatched: forward"})
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	served, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = served.Close() }()
	fmt.Fprintf(client, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", ln.Addr())
	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	s := &connector.Session{Client: &cutting{served, cut}, Log: p.logger(), ConnectTimeout: 10 * time.Second}
	err = p.connector.ServeConn(ctx, s)
	pair := s.Handoff()
	if pair == nil {
		t.Fatalf("nobody has the connection to the target: %v", err)
	}
	_ = pair.Target.Close()
}
