package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/connector/httpproxy/http1"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/wire/http1wire"
)

// client is the other end of a connection that is served.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

// serve runs h on a new Server and returns a way to connect to it. Everything
// has ended when the test has.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*http1.Server)) (*http1.Server, func() *client) {
	t.Helper()
	s := http1.NewServer()
	s.Handler, s.HeadTimeout = handler(h), 10*time.Second
	s.Limits = http1wire.Limits{Bytes: 8 << 10, Lines: 64}
	for _, c := range change {
		c(s)
	}
	ln := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.Serve(ctx, c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		cancel()
		conns.Wait()
		s.Close()
	})
	return s, func() *client {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { _ = c.Close() })
		return &client{t, c, bufio.NewReader(c)}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads one answer to a request with method.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

// wants reads an answer and compares it.
func (c *client) wants(status int, body string) *http.Response {
	c.t.Helper()
	resp, got := c.answer("GET")
	if resp.StatusCode != status || body != "" && got != body {
		c.t.Errorf("%s %q, want %d %q", resp.Status, got, status, body)
	}
	return resp
}

// ended makes sure that nothing more comes.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("%q %v behind the last answer", rest, err)
	}
}

// script is what a target does with one connection.
type script func(c net.Conn, in *bufio.Reader)

// target accepts connections and does with the n-th what the n-th script says;
// the last one is for all that come after it.
type target struct {
	to    origin.Origin
	mu    sync.Mutex
	conns int
	all   []net.Conn
}

func newTarget(t *testing.T, scripts ...script) *target {
	t.Helper()
	ln := listen(t)
	to, err := origin.Parse("http", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tg := &target{to: to}
	var running sync.WaitGroup
	running.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			tg.mu.Lock()
			tg.conns++
			tg.all = append(tg.all, c)
			tg.mu.Unlock()
			running.Go(func() {
				defer func() { _ = c.Close() }()
				scripts[min(n, len(scripts)-1)](c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		tg.mu.Lock()
		for _, c := range tg.all {
			_ = c.Close()
		}
		tg.mu.Unlock()
		running.Wait()
	})
	return tg
}

func (tg *target) connections() int {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return tg.conns
}

// readOne reads a request with its body, nil at the end.
func readOne(in *bufio.Reader) (*http.Request, string) {
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, ""
	}
	return r, string(body)
}

// always answers every request with text.
func always(text string) script {
	return func(c net.Conn, in *bufio.Reader) {
		for {
			if r, _ := readOne(in); r == nil {
				return
			}
			_, _ = io.WriteString(c, text)
		}
	}
}

// once answers one request with text and ends.
func once(text string) script {
	return func(c net.Conn, in *bufio.Reader) {
		if r, _ := readOne(in); r != nil {
			_, _ = io.WriteString(c, text)
		}
	}
}

func newTargets(t *testing.T) *http1.Targets {
	t.Helper()
	var d net.Dialer
	ts := &http1.Targets{
		Dial: d.DialContext, ResponseTimeout: 10 * time.Second, ContinueTimeout: 10 * time.Second,
		Limits: http1wire.Limits{Bytes: 8 << 10, Lines: 64}, IdlePerOrigin: 4, IdleTotal: 16, IdleTime: time.Minute,
	}
	t.Cleanup(ts.Close)
	return ts
}

func request(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://elsewhere.example/path?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ask makes one round trip and returns what came.
func ask(ts *http1.Targets, to origin.Origin, r *http.Request, inform ...message.Inform) (int, string, error) {
	var i message.Inform
	if len(inform) > 0 {
		i = inform[0]
	}
	resp, err := roundTrip(ts, to, r, i)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func mustAsk(t *testing.T, ts *http1.Targets, to origin.Origin, r *http.Request, want string) {
	t.Helper()
	status, body, err := ask(ts, to, r)
	if err != nil || status != 200 || body != want {
		t.Fatalf("%d %q %v", status, body, err)
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func counted(n *int) message.Inform {
	return func(int, *http1wire.Fields) error { *n++; return nil }
}

// roundTrip is that of net/http.
func roundTrip(ts *http1.Targets, to origin.Origin, r *http.Request, inform message.Inform) (*http.Response, error) {
	m, err := ts.RoundTrip(r.Context(), to, message.FromHTTP(r), inform)
	if err != nil {
		return nil, err
	}
	resp := &http.Response{StatusCode: m.Code, Header: m.Fields.Header(), ContentLength: m.Length, Body: m.Body}
	if len(m.Announced) > 0 {
		resp.Trailer = http.Header{}
		for _, name := range m.Announced {
			resp.Trailer[name] = nil
		}
		resp.Body = &trailed{m.Body, func() { maps.Copy(resp.Trailer, m.Trailer.Header()) }}
	}
	return resp, nil
}

// trailed calls came behind the body.
type trailed struct {
	io.ReadCloser
	came func()
}

func (b *trailed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.came()
	}
	return n, err
}

// handler is h as the engine calls it.
func handler(h http.HandlerFunc) message.Handler {
	return func(ctx context.Context, w message.Writer, m *message.Request) {
		r := m.HTTP(ctx)
		r.RequestURI, r.ProtoMinor = m.Target, m.Minor
		if r.Body == nil {
			r.Body = http.NoBody
		}
		a := &writer{w: w, h: http.Header{}}
		h(a, r)
		a.trailers()
	}
}

// writer is the http.ResponseWriter of a handler.
type writer struct {
	w     message.Writer
	h     http.Header
	wrote bool
}

func (a *writer) Header() http.Header { return a.h }

func (a *writer) WriteHeader(code int) {
	a.wrote = a.wrote || code >= 200
	var f http1wire.Fields
	f.AddHeader(a.h)
	if _, ok := a.h["Date"]; !ok && code >= 200 {
		f.Add("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	a.w.WriteHead(code, f)
}

func (a *writer) Write(p []byte) (int, error) {
	if !a.wrote {
		a.WriteHeader(200)
	}
	return a.w.Write(p)
}

func (a *writer) FlushError() error { return a.w.Flush() }

func (a *writer) trailers() {
	var f http1wire.Fields
	for name, values := range a.h {
		if late, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			f.AddHeader(http.Header{late: values})
		}
	}
	for _, name := range a.h["Trailer"] {
		f.AddHeader(http.Header{name: a.h[name]})
	}
	a.w.Trailer(f)
}

func (a *writer) SetWriteDeadline(t time.Time) error { return a.w.SetWriteDeadline(t) }

func (a *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, early, err := a.w.Hijack()
	if err != nil {
		return nil, nil, err
	}
	in := bufio.NewReader(io.MultiReader(bytes.NewReader(early), conn))
	_, err = in.Peek(len(early))
	return conn, bufio.NewReadWriter(in, bufio.NewWriter(conn)), err
}

func long(n int) string { return strings.Repeat("x", n) }
