package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"secretless/internal/wire/http1wire"
)

func TestConnectionsAreKept(t *testing.T) {
	tg := newTarget(t, always(ok))
	ts := newTargets(t)
	for range 3 {
		mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	}
	mustAsk(t, ts, tg.to, request(t, "POST", strings.NewReader("abc")), "ok")
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	if n := tg.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// What ends a connection, or makes nobody know where its next answer begins,
// makes it the last request on it.
func TestConnectionsAreNotKept(t *testing.T) {
	for name, c := range map[string]struct{ answer, body string }{
		"says close":      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "ok"},
		"HTTP/1.0":        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
		"more than said":  {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "ok"},
		"behind no body":  {"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", ""},
		"behind chunks":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "ok"},
		"chunks, to come": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\nz", "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			tg := newTarget(t, always(c.answer), always(ok))
			ts := newTargets(t)
			if _, body, err := ask(ts, tg.to, request(t, "GET", nil)); err != nil || body != c.body {
				t.Fatalf("%q %v", body, err)
			}
			mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
			if n := tg.connections(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// An answer that nobody has asked for is not that of the next request.
func TestUnaskedAnswers(t *testing.T) {
	sent := make(chan struct{})
	tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		_, _ = readOne(in)
		_, _ = io.WriteString(c, ok)
		<-sent
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		sent <- struct{}{}
		_, _ = readOne(in)
	}, always(ok))
	ts := newTargets(t)
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	sent <- struct{}{}
	<-sent
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
}

// A connection that the target has closed meanwhile is no reason to fail, for
// requests that do not hurt twice.
func TestClosedMeanwhile(t *testing.T) {
	tg := newTarget(t, once(ok))
	ts := newTargets(t)
	for range 3 {
		mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	}
	for method, again := range map[string]bool{"GET": true, "POST": false, "DELETE": false} {
		ts := newTargets(t)
		tg := newTarget(t, func(c net.Conn, in *bufio.Reader) { // takes a second request and closes
			_, _ = readOne(in)
			_, _ = io.WriteString(c, ok)
			_, _ = readOne(in)
		}, always(ok))
		mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
		_, body, err := ask(ts, tg.to, request(t, method, nil))
		if again && (err != nil || body != "ok") || !again && err == nil {
			t.Errorf("%s: %q %v", method, body, err)
		}
	}
	// A fresh connection that is closed is an error at once.
	never := newTarget(t, func(_ net.Conn, in *bufio.Reader) { _, _ = readOne(in) })
	if _, _, err := ask(newTargets(t), never.to, request(t, "GET", nil)); err == nil || never.connections() != 1 {
		t.Errorf("%v, %d connections", err, never.connections())
	}
}

// A target that does not answer in time is not asked again: it may be working on
// the first request.
func TestTimeoutIsNotAskedAgain(t *testing.T) {
	ts := newTargets(t)
	ts.ResponseTimeout = 100 * time.Millisecond
	tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		_, _ = readOne(in)
		_, _ = io.WriteString(c, ok)
		_, _ = readOne(in)
		_, _ = readOne(in)
	}, always(ok))
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	_, body, err := ask(ts, tg.to, request(t, "GET", nil))
	if n, is := errors.AsType[net.Error](err); !is || !n.Timeout() || tg.connections() != 1 {
		t.Errorf("%q %v, %d connections", body, err, tg.connections())
	}
}

// A connection that a client may have logged in on is not that of another.
func TestConnectionOfALoginIsNotKept(t *testing.T) {
	tg := newTarget(t, always(ok))
	ts := newTargets(t)
	r := request(t, "GET", nil)
	r.Close = true
	mustAsk(t, ts, tg.to, r, "ok")
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	if n := tg.connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestBrokenAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"short":            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"chunks":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"bad chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
		"half a head":      "HTTP/1.1 200 OK\r\nContent-",
		"nothing":          "",
		"no HTTP":          "220 mail.example ESMTP\r\n",
		"both framings":    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"folded":           "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 3\r\n\r\nabc",
		"endless head":     "HTTP/1.1 200 OK\r\nX: " + long(20000),
		"too many lines":   "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n",
		"endless interims": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100),
	} {
		tg := newTarget(t, once(answer))
		if status, body, err := ask(newTargets(t), tg.to, request(t, "GET", nil)); err == nil || errors.Is(err, io.EOF) && body != "" {
			t.Errorf("%s: %d %q %v", name, status, body, err)
		}
	}
}

func TestInterimAnswers(t *testing.T) {
	tg := newTarget(t, always("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"+ok))
	seen := 0
	status, body, err := ask(newTargets(t), tg.to, request(t, "GET", nil), counted(&seen))
	if err != nil || status != 200 || body != "ok" || seen != 2 {
		t.Errorf("%d %q %v, %d interim answers", status, body, err, seen)
	}
	stop := errors.New("stop")
	if _, _, err := ask(newTargets(t), tg.to, request(t, "GET", nil), func(int, *http1wire.Fields) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// The target answers before it has the whole body, and what is left of the body
// is let go of.
func TestEarlyAnswers(t *testing.T) {
	for name, tail := range map[string]string{"kept open": "", "closed": "Connection: close\r\n"} {
		t.Run(name, func(t *testing.T) {
			hold := make(chan struct{})
			tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
				_, _ = http.ReadRequest(in)
				_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\n"+tail+"Content-Length: 2\r\n\r\nno")
				<-hold
			})
			defer close(hold)
			pr, pw := io.Pipe()
			r := request(t, "POST", pr)
			r.ContentLength = 1 << 30
			go func() { _, _ = pw.Write(make([]byte, 1<<20)) }()
			status, body, err := ask(newTargets(t), tg.to, r)
			if err != nil || status != 413 || body != "no" {
				t.Errorf("%d %q %v", status, body, err)
			}
			_ = pr.Close() // as a server does, when the request is over
		})
	}
}

func TestBodies(t *testing.T) {
	for _, length := range []int64{6, -1} {
		got := make(chan string, 1)
		tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
			r, body := readOne(in)
			if r != nil {
				got <- body + r.Trailer.Get("X-Sum")
				_, _ = io.WriteString(c, ok)
			}
		})
		r := request(t, "PUT", io.MultiReader(strings.NewReader("abc"), strings.NewReader("def")))
		r.ContentLength = length
		want := "abcdef"
		if length < 0 {
			r.Trailer, want = http.Header{"X-Sum": {"42"}}, "abcdef42"
		}
		mustAsk(t, newTargets(t), tg.to, r, "ok")
		if body := <-got; body != want {
			t.Errorf("length %d: %q", length, body)
		}
	}
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
	}{
		"shorter than said": {strings.NewReader("abc"), 10},
		"longer than said":  {strings.NewReader("abcdef"), 3},
		"broken":            {io.MultiReader(strings.NewReader("abc"), broken{}), -1},
	} {
		tg := newTarget(t, always(ok))
		r := request(t, "PUT", struct{ io.Reader }{c.body})
		r.ContentLength = c.length
		if _, _, err := ask(newTargets(t), tg.to, r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A trailer that cannot be sent ends the request: the target would wait for the
// body's end.
func TestUnwritableTrailer(t *testing.T) {
	ts := newTargets(t)
	tg := newTarget(t, func(_ net.Conn, in *bufio.Reader) { _, _ = readOne(in) })
	r := request(t, "PUT", struct{ io.Reader }{strings.NewReader("abc")})
	r.ContentLength, r.Trailer = -1, http.Header{"a b": {"c"}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := ask(ts, tg.to, r.WithContext(ctx)); !errors.Is(err, http1wire.ErrUnwritable) {
		t.Error(err)
	}
}

// A panic of who reads the body ends its request alone.
func TestPanickingBody(t *testing.T) {
	r := request(t, "PUT", struct{ io.Reader }{ouch{}})
	r.ContentLength = 3
	ts := newTargets(t)
	heard := make(chan any, 1)
	ts.Panicked = func(value any) { heard <- value }
	if _, _, err := ask(ts, newTarget(t, always(ok)).to, r); err == nil {
		t.Error("no error")
	}
	if value := <-heard; value != "ouch" {
		t.Errorf("%v", value)
	}
}

type ouch struct{}

func (ouch) Read([]byte) (int, error) { panic("ouch") }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestContinue(t *testing.T) {
	expecting := func(body *string) *http.Request {
		r := request(t, "PUT", struct{ io.Reader }{io.MultiReader(reads{body}, strings.NewReader("abc"))})
		r.ContentLength = 3
		r.Header.Set("Expect", "100-continue")
		return r
	}
	var log string
	asks := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		r, _ := http.ReadRequest(in)
		if in.Buffered() > 0 {
			t.Error("the body came early")
		}
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"+string(body))
	})
	seen := 0
	if _, body, err := ask(newTargets(t), asks.to, expecting(&log), counted(&seen)); err != nil || body != "abc" || seen != 1 {
		t.Errorf("%q %v, asked %d times", body, err, seen)
	}
	log = ""
	refuses := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(c, "HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno")
		_, _ = readOne(in)
	})
	if status, body, err := ask(newTargets(t), refuses.to, expecting(&log)); err != nil || status != 417 || body != "no" || log != "" {
		t.Errorf("%d %q %v, body read: %q", status, body, err, log)
	}
	floods := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(c, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100))
		_, _ = readOne(in)
	})
	if _, _, err := ask(newTargets(t), floods.to, expecting(&log), counted(new(int))); err == nil || !strings.Contains(err.Error(), "too many interim") {
		t.Error(err)
	}
	silent := newTarget(t, always(ok))
	ts := newTargets(t)
	ts.ContinueTimeout = 100 * time.Millisecond
	mustAsk(t, ts, silent.to, expecting(&log), "ok")
}

// reads notes that it was read.
type reads struct{ log *string }

func (r reads) Read([]byte) (int, error) { *r.log += "read "; return 0, io.EOF }

func TestTimeouts(t *testing.T) {
	silent := newTarget(t, func(_ net.Conn, in *bufio.Reader) { _, _ = readOne(in); _, _ = readOne(in) })
	ts := newTargets(t)
	ts.ResponseTimeout = 100 * time.Millisecond
	for _, r := range []*http.Request{request(t, "GET", nil), request(t, "PUT", strings.NewReader("abc"))} {
		_, _, err := ask(ts, silent.to, r)
		if n, ok := errors.AsType[net.Error](err); !ok || !n.Timeout() {
			t.Errorf("%s: %v", r.Method, err)
		}
	}
	// The time is that for the head alone.
	slow := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		_, _ = readOne(in)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
		time.Sleep(300 * time.Millisecond)
		_, _ = io.WriteString(c, "ok")
	})
	mustAsk(t, ts, slow.to, request(t, "GET", nil), "ok")
	ts.ResponseTimeout = 0
	mustAsk(t, ts, slow.to, request(t, "GET", nil), "ok")
}

// A target that reads no more holds nobody up for longer than that either, and
// the time of one request does not end the next on the same connection.
func TestTargetThatTakesNoMore(t *testing.T) {
	deaf := newTarget(t, func(net.Conn, *bufio.Reader) { <-t.Context().Done() })
	ts := newTargets(t)
	ts.ResponseTimeout = 100 * time.Millisecond
	endless := request(t, "PUT", io.LimitReader(zeros{}, 64<<20))
	endless.ContentLength = 64 << 20
	_, _, err := ask(ts, deaf.to, endless)
	if n, ok := errors.AsType[net.Error](err); !ok || !n.Timeout() || !strings.Contains(err.Error(), "takes no more of the request's body") {
		t.Errorf("%v", err)
	}

	reader := newTarget(t, always(ok))
	for range 2 {
		mustAsk(t, ts, reader.to, request(t, "PUT", strings.NewReader("abc")), "ok")
		time.Sleep(200 * time.Millisecond)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestCancel(t *testing.T) {
	came := make(chan struct{}, 2)
	tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		r, _ := readOne(in)
		if r.Method == "PUT" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
		}
		came <- struct{}{}
		_, _ = readOne(in)
	})
	ts := newTargets(t)
	for _, method := range []string{"GET", "PUT"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-came; cancel() }()
		if _, _, err := ask(ts, tg.to, request(t, method, nil).WithContext(ctx)); err == nil {
			t.Errorf("%s: no error", method)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := ask(ts, newTarget(t, always(ok)).to, request(t, "GET", nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Nothing that could end a line or a head is sent.
func TestUnwritableRequests(t *testing.T) {
	tg := newTarget(t, func(_ net.Conn, in *bufio.Reader) {
		if _, err := in.ReadByte(); err == nil {
			t.Error("something was sent")
		}
	})
	for name, change := range map[string]func(*http.Request){
		"value":  func(r *http.Request) { r.Header["X"] = []string{"a\r\nY: b"} },
		"name":   func(r *http.Request) { r.Header["X\r\nY"] = []string{"a"} },
		"method": func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX: y\r\n\r\nGET" },
		"query":  func(r *http.Request) { r.URL.RawQuery = "a b HTTP/1.1\r\nX: y" },
	} {
		r := request(t, "GET", nil)
		change(r)
		if _, _, err := ask(newTargets(t), tg.to, r); !errors.Is(err, http1wire.ErrUnwritable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The Host is that of the origin, and so is the connection, whatever the
// request says.
func TestOriginDecides(t *testing.T) {
	got := make(chan *http.Request, 1)
	tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		r, _ := readOne(in)
		got <- r
		_, _ = io.WriteString(c, ok)
	})
	r := request(t, "GET", nil)
	r.Host = "other.example"
	r.Header["Host"] = []string{"third.example"}
	r.Header["Content-Length"] = []string{"7"}
	r.Header["Transfer-Encoding"] = []string{"chunked"}
	mustAsk(t, newTargets(t), tg.to, r, "ok")
	if r := <-got; r.Host != tg.to.Authority() || r.RequestURI != "/path?q=1" || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		t.Errorf("%+v", r)
	}
}

func TestSwitching(t *testing.T) {
	tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		_, _ = readOne(in)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nfirst")
		_, _ = io.Copy(struct{ io.Writer }{c}, in)
	})
	ts := newTargets(t)
	ts.ResponseTimeout = 100 * time.Millisecond
	resp, err := roundTrip(ts, tg.to, request(t, "GET", nil), nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	both := resp.Body.(io.ReadWriteCloser)
	defer func() { _ = both.Close() }()
	time.Sleep(200 * time.Millisecond) // no bound of the request is left
	_, _ = io.WriteString(both, " second")
	_ = both.(interface{ CloseWrite() error }).CloseWrite()
	if all, err := io.ReadAll(both); err != nil || string(all) != "first second" {
		t.Errorf("%q %v", all, err)
	}
}

// Closing an answer early gives the connection up, unless all of it has come.
func TestClosingEarly(t *testing.T) {
	tg := newTarget(t, always("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"+long(1000)), always(ok))
	ts := newTargets(t)
	resp, err := roundTrip(ts, tg.to, request(t, "GET", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = resp.Body.Read(make([]byte, 10))
	_ = resp.Body.Close()
	_ = resp.Body.Close()
	for range 2 {
		resp, err := roundTrip(ts, tg.to, request(t, "GET", nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if n := tg.connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	gone := make(chan struct{}, 1)
	tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
		always(ok)(c, in)
		gone <- struct{}{}
	})
	ts := newTargets(t)
	ts.IdleTime = 10 * time.Millisecond
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	<-gone
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
	ts.Close()
	<-gone
	mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok") // in flight while it closes
	<-gone
}

// Requests for many targets do not keep a connection for each: the one that has
// been idle for the longest goes.
func TestIdleConnectionsAreCounted(t *testing.T) {
	ts := newTargets(t)
	ts.IdleTotal = 2
	var all []*target
	for range 3 {
		tg := newTarget(t, always(ok))
		mustAsk(t, ts, tg.to, request(t, "GET", nil), "ok")
		all = append(all, tg)
	}
	for _, i := range []int{2, 1, 0} {
		mustAsk(t, ts, all[i].to, request(t, "GET", nil), "ok")
	}
	for i, want := range []int{2, 1, 1} {
		if n := all[i].connections(); n != want {
			t.Errorf("%d connections to the target %d, want %d", n, i, want)
		}
	}
}
