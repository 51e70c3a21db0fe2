package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"secretless/internal/connector/httpproxy/http1"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// echo says what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	text := fmt.Sprintf("%s %s %q %v", r.Method, r.RequestURI, body, err)
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = io.WriteString(w, text)
}

func TestPipelining(t *testing.T) {
	_, dial := serve(t, echo)
	c := dial()
	c.send("GET http://a/1 HTTP/1.1\r\nHost: a\r\n\r\nPOST http://a/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
		"POST http://a/3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\nGET http://a/4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET http://a/5 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.wants(200, `GET http://a/1 "" <nil>`)
	c.wants(200, `POST http://a/2 "abc" <nil>`)
	c.wants(200, `POST http://a/3 "def" <nil>`)
	if resp := c.wants(200, `GET http://a/4 "" <nil>`); !resp.Close {
		t.Error("it does not say that it closes")
	}
	c.ended()
}

// A client that has said everything still gets its answer.
func TestHalfClosedClient(t *testing.T) {
	_, dial := serve(t, echo)
	c := dial()
	c.send("GET http://a/1 HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	c.wants(200, `GET http://a/1 "" <nil>`)
	c.ended()
}

// What the client has sent while it waited is the start of its next request.
func TestClientSendsWhileItWaits(t *testing.T) {
	next := make(chan struct{})
	_, dial := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-next
		}
		echo(w, r)
	})
	c := dial()
	c.send("GET http://a/slow HTTP/1.1\r\nHost: a\r\n\r\n")
	time.Sleep(600 * time.Millisecond) // somebody reads now
	second := "POST http://a/" + long(200) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	c.send(second[:100])
	time.Sleep(50 * time.Millisecond)
	c.send(second[100:])
	close(next)
	c.wants(200, `GET http://a/slow "" <nil>`)
	c.wants(200, "POST http://a/"+long(200)+` "abc" <nil>`)
}

func TestGoneClientEndsItsRequest(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	_, dial := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(began)
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	c := dial()
	c.send("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
	<-began
	_ = c.Close()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}

func TestUnreadBodies(t *testing.T) {
	_, dial := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
	c := dial()
	c.send("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
	c.wants(403, "")
	c.wants(403, "") // the body had come, so that the second request could be seen
	c.send("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nGET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
	c.wants(403, "")
	c.ended()
	c = dial()
	c.send("POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2d\r\nGET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
	c.wants(403, "")
	c.ended()
}

// A client whose body nobody has asked for is told that its connection ends,
// and does not send a next request into it.
func TestUnreadBodyIsTheLast(t *testing.T) {
	_, dial := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			_, _ = io.ReadFull(r.Body, make([]byte, 2))
		}
		w.WriteHeader(403)
	})
	for request, last := range map[string]bool{
		"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n":                                                     false,
		"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":                            false,
		"POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\nabc":                        true,
		"POST http://a/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n":       true,
		"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n":                      true,
		"POST http://a/read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n": false, // more may be to come, and read
	} {
		c := dial()
		c.send(request)
		if resp := c.wants(403, ""); resp.Close != last {
			t.Errorf("%q: the last: %v", request, resp.Close)
		}
	}
}

// A client that is still sending sees why it should not.
func TestAnswerToAnEndlessBody(t *testing.T) {
	_, dial := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) })
	c := dial()
	c.send("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}()
	time.Sleep(100 * time.Millisecond)
	c.wants(413, "")
	<-sent
}

func TestAnswers(t *testing.T) {
	_, dial := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Date"] = nil
		switch r.URL.Path {
		case "/known":
			h.Set("Content-Length", "3")
			_, _ = io.WriteString(w, "abc")
		case "/stream":
			h.Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "abc")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "def")
			h.Set("X-Sum", "6")
			h.Set(http.TrailerPrefix+"X-Late", "1")
		case "/none":
			w.WriteHeader(204)
		case "/hint":
			h.Set("Link", "x")
			w.WriteHeader(103)
			h.Del("Link")
			w.WriteHeader(200)
		case "/short":
			h.Set("Content-Length", "10")
			_, _ = io.WriteString(w, "abc")
		case "/injection":
			h.Set("X", "a\r\nSet-Cookie: b")
			_, _ = io.WriteString(w, "abc")
		}
	})
	raw := func(method, path, version string) string {
		c := dial()
		c.send(method + " http://a" + path + " " + version + "\r\nHost: a\r\n\r\n")
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(c.in)
		return string(all)
	}
	for _, want := range [][4]string{
		{"GET", "/known", "HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
		{"HEAD", "/known", "HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"},
		{"GET", "/known", "HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"},
		{"GET", "/stream", "HTTP/1.1", "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Late: 1\r\nX-Sum: 6\r\n\r\n"},
		{"GET", "/stream", "HTTP/1.0", "HTTP/1.0 200 OK\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\nabcdef"},
		{"GET", "/none", "HTTP/1.1", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"GET", "/hint", "HTTP/1.1", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"GET", "/other", "HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"GET", "/short", "HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"},
		{"GET", "/injection", "HTTP/1.1", ""},
	} {
		if got := raw(want[0], want[1], want[2]); got != want[3] {
			t.Errorf("%s %s %s: %q, want %q", want[0], want[1], want[2], got, want[3])
		}
	}
}

func TestLargeAnswers(t *testing.T) {
	_, dial := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "300000")
		}
		for range 3 {
			_, _ = io.WriteString(w, long(100000))
		}
	})
	c := dial()
	for _, path := range []string{"/known", "/stream", "/known"} {
		c.send("GET http://a" + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
		c.wants(200, long(300000))
	}
}

func TestRefusals(t *testing.T) {
	told := make(chan int, 10)
	_, dial := serve(t, echo, func(s *http1.Server) {
		s.Refused = func(_ context.Context, status int, _ error) { told <- status }
	})
	for text, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n":                                                    400,
		"GET http://a/%zz HTTP/1.1\r\nHost: a\r\n\r\n":                              400,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n":             501,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                          505,
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + long(10000) + "\r\n\r\n":               431,
		"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 70) + "\r\n":   431,
		"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx": 417,
	} {
		c := dial()
		c.send("GET http://a/first HTTP/1.1\r\nHost: a\r\n\r\n" + text)
		c.wants(200, `GET http://a/first "" <nil>`)
		resp, body := c.answer("GET")
		if resp.StatusCode != want || !resp.Close || !strings.HasPrefix(body, "secretless: the request is not passed on: ") || resp.Header.Get("Proxy-Status") == "" {
			t.Errorf("%.40q: %s %q", text, resp.Status, body)
		}
		if status := <-told; status != want {
			t.Errorf("told %d", status)
		}
	}
}

func TestExpectation(t *testing.T) {
	ask := make(chan bool, 1)
	_, dial := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if <-ask {
			echo(w, r)
			return
		}
		w.WriteHeader(403)
	})
	c := dial()
	ask <- true
	c.send("PUT http://a/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	if line, _ := c.in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Errorf("%q", line)
	}
	_, _ = c.in.ReadString('\n')
	c.send("abc")
	c.wants(200, `PUT http://a/ "abc" <nil>`)
	ask <- false
	c.send("PUT http://a/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	c.wants(403, "") // and nobody knows whether the body comes
	c.ended()
}

func TestSlowHeads(t *testing.T) {
	_, dial := serve(t, echo, func(s *http1.Server) { s.HeadTimeout = 200 * time.Millisecond })
	silent, slow, idle := dial(), dial(), dial()
	slow.send("GET http://a/ HTTP/1.1\r\nHo")
	idle.send("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
	idle.wants(200, "")
	silent.ended()
	slow.ended()
	idle.send("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n") // the time has not run while nothing was sent
	idle.wants(200, "")
	idle.send("GET http://a/ HTTP/1.1\r\nHo")
	idle.ended()
}

func TestServerDrain(t *testing.T) {
	began, next := make(chan struct{}), make(chan struct{})
	s, dial := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-next
		}
		echo(w, r)
	})
	idle, busy := dial(), dial()
	idle.send("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")
	idle.wants(200, "")
	busy.send("GET http://a/slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	s.Drain()
	idle.ended()
	close(next)
	if resp := busy.wants(200, ""); !resp.Close {
		t.Error("it goes on")
	}
	busy.ended()
}

// A drain that comes together with a request leaves it alone.
func TestDrainWhileARequestComes(t *testing.T) {
	s := http1.NewServer()
	s.Handler, s.HeadTimeout, s.Limits = handler(echo), 10*time.Second, http1wire.Limits{Bytes: 8 << 10, Lines: 64}
	theirs, ours := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(t.Context(), drainer{ours, s})
	}()
	defer func() { <-served; s.Close() }()
	defer func() { _ = theirs.Close() }()
	_ = theirs.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{t, theirs, bufio.NewReader(theirs)}
	c.send("GET http://a/1 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.wants(200, `GET http://a/1 "" <nil>`)
	c.send("POST http://a/drain HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
	c.send("abc")
	if resp := c.wants(200, `POST http://a/drain "abc" <nil>`); !resp.Close {
		t.Error("it goes on")
	}
}

// drainer drains as soon as the request for it has been read.
type drainer struct {
	net.Conn
	s *http1.Server
}

func (d drainer) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if strings.Contains(string(p[:n]), "/drain") {
		d.s.Drain()
	}
	return n, err
}

// Where a body is still to come, nobody knows whose the next bytes are.
func TestHijackWithinABody(t *testing.T) {
	_, dial := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
			w.WriteHeader(502)
		}
	})
	c := dial()
	c.send("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
	c.wants(502, "")
	c.ended()
}

func TestHijack(t *testing.T) {
	_, dial := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		early, _ := rw.Reader.Peek(rw.Reader.Buffered())
		_, _ = fmt.Fprintf(conn, "early %q", early)
	})
	c := dial()
	c.send("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\nearly bytes")
	if all, _ := io.ReadAll(c.in); string(all) != `early "early bytes"` {
		t.Errorf("%q", all)
	}
}

// Who sends a body on to a target may look for its end when the answer has come
// and the next request is there.
func TestBodyIsOfItsRequestAlone(t *testing.T) {
	var first *message.Request
	_, dial := serve(t, nil, func(s *http1.Server) {
		s.Handler = func(_ context.Context, w message.Writer, r *message.Request) {
			if first == nil {
				first = r
			} else if n, err := first.Body.Read(make([]byte, 8)); n != 0 || err != http.ErrBodyReadAfterClose {
				t.Errorf("reading the last request's body: %d, %v", n, err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.WriteHead(http.StatusOK, http1wire.Fields{{Name: "Content-Length", Value: fmt.Sprint(len(body))}})
			_, _ = w.Write(body)
		}
	})
	c := dial()
	for _, text := range []string{"first", "second"} {
		c.send(fmt.Sprintf("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
		c.wants(200, text)
	}
}
