package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// passer passes requests on by round trips of either kind.
func passer(to string, roundTrip func(*http.Request) (*http.Response, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := maps.Clone(r.Header)
		for _, name := range []string{"Connection", "Te", "Keep-Alive", "Upgrade"} {
			delete(h, name)
		}
		if _, ok := h["User-Agent"]; !ok {
			h["User-Agent"] = nil
		}
		out := (&http.Request{
			Method: r.Method, URL: &url.URL{Scheme: "http", Host: to, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
			Host: to, Header: h, ContentLength: r.ContentLength, Trailer: r.Trailer,
		}).WithContext(r.Context())
		if r.ContentLength != 0 {
			out.Body = r.Body
		}
		resp, err := roundTrip(out)
		if err != nil {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(502)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		for name, values := range resp.Header {
			if name != "Connection" {
				w.Header()[name] = values
			}
		}
		if _, ok := w.Header()["Date"]; !ok {
			w.Header()["Date"] = nil
		}
		if _, ok := w.Header()["Content-Type"]; !ok {
			w.Header()["Content-Type"] = nil
		}
		for name := range resp.Trailer {
			w.Header().Add("Trailer", name)
		}
		w.WriteHeader(resp.StatusCode)
		if resp.ContentLength < 0 {
			_ = http.NewResponseController(w).Flush()
		}
		if _, err := io.Copy(w, resp.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		for name, values := range resp.Trailer {
			w.Header()[name] = values
		}
	}
}

// outcome is what a target was asked and a client was answered, put together.
type outcome struct{ asked, answered string }

func describe(r *http.Request, body string) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s %s host %s length %d coding %v %v %q %v", r.Method, r.RequestURI, strings.Split(r.Host, ":")[0], r.ContentLength, r.TransferEncoding, sorted(r.Header), body, sorted(r.Trailer))
}

func sorted(h http.Header) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		all = append(all, fmt.Sprintf("%s=%q", name, h[name]))
	}
	return all
}

// TestAsNetHTTP sends well-formed requests through the engine and through
// net/http: targets see the same, and so do clients.
func TestAsNetHTTP(t *testing.T) {
	requests := map[string]string{
		"GET":            "GET http://a.example/x/%2Fy?q=%20&r=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: me\r\nAccept: */*\r\nX-Two: 1\r\nx-two: 2\r\n\r\n",
		"root":           "GET http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"empty query":    "GET http://a.example/? HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"two slashes":    "GET http://a.example//x//y HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"not ASCII":      "GET http://a.example/\u00e4?\u00e4 HTTP/1.1\r\nHost: a.example\r\nX: \u00e4\r\n\r\n",
		"HEAD":           "HEAD http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"HTTP/1.0":       "GET http://a.example/ HTTP/1.0\r\n\r\n",
		"POST":           "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
		"empty POST":     "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
		"POST, no body":  "POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"chunks":         "PUT http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
		"trailer":        "PUT http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"GET with body":  "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
		"DELETE":         "DELETE http://a.example/x HTTP/1.1\r\nHost: a.example\r\nIf-Match: \"a\", \"b\"\r\n\r\n",
		"unknown method": "FROBNICATE http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"empty value":    "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nX-Empty:\r\nX-Blanks: \t a  b \t\r\n\r\n",
		"expectation":    "PUT http://a.example/ HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
	}
	answers := map[string]string{
		"length":       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 5\r\n\r\nhello",
		"empty":        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
		"trailer":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"until close":  "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
		"HTTP/1.0":     "HTTP/1.0 200 OK\r\nDate: yesterday\r\n\r\nhello",
		"no content":   "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
		"not modified": "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
		"no reason":    "HTTP/1.1 404 \r\nContent-Length: 2\r\n\r\nno",
		"own status":   "HTTP/1.1 599 Something\r\nContent-Length: 2\r\n\r\nno",
		"short":        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
		"cut chunks":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
		"garbage":      "garbage\r\n\r\n",
	}
	through := func(t *testing.T, engine bool, request, answer string) outcome {
		asked := make(chan string, 4)
		tg := newTarget(t, func(c net.Conn, in *bufio.Reader) {
			r, body := readOne(in)
			asked <- describe(r, body)
			if r != nil && r.Method == "HEAD" {
				answer = answer[:strings.Index(answer, "\r\n\r\n")+4]
			}
			_, _ = io.WriteString(c, answer)
		})
		var dial func() *client
		if engine {
			ts := newTargets(t)
			ts.ContinueTimeout = 50 * time.Millisecond
			_, dial = serve(t, func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					if recover() != nil { // as the proxy does it
						_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
					}
				}()
				passer(tg.to.Authority(), func(out *http.Request) (*http.Response, error) { return roundTrip(ts, tg.to, out, nil) })(w, r)
			})
		} else {
			dial = netHTTP(t, tg.to.Authority())
		}
		c := dial()
		c.send(request)
		method, _, _ := strings.Cut(request, " ")
		resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err == nil && resp.StatusCode == 100 {
			resp, err = http.ReadResponse(c.in, &http.Request{Method: method})
		}
		if err != nil {
			return outcome{<-asked, "broken off"}
		}
		body, err := io.ReadAll(resp.Body)
		o := outcome{asked: <-asked}
		resp.Header.Del("Connection") // to HTTP/1.0, the engine says what is clear anyway
		if err != nil {               // how much has come before is nobody's promise
			o.answered = "broken off"
		} else {
			o.answered = fmt.Sprintf("%d HTTP/1.%d length %d coding %v %v %q %v", resp.StatusCode, resp.ProtoMinor, resp.ContentLength, resp.TransferEncoding, sorted(resp.Header), body, sorted(resp.Trailer))
		}
		return o
	}
	compare := func(name, request, answer string) {
		t.Run(name, func(t *testing.T) {
			ours, theirs := through(t, true, request, answer), through(t, false, request, answer)
			if ours != theirs {
				t.Errorf("\n  engine: %s\n          %s\nnet/http: %s\n          %s", ours.asked, ours.answered, theirs.asked, theirs.answered)
			}
		})
	}
	for name, request := range requests {
		compare(name, request, answers["length"])
	}
	for name, answer := range answers {
		compare("answer "+name, requests["GET"], answer)
		compare("answer "+name+" to HEAD", requests["HEAD"], answer)
		if name != "cut chunks" { // nothing tells the client that an answer is cut
			compare("answer "+name+" to HTTP/1.0", requests["HTTP/1.0"], answer)
		}
	}
}

// netHTTP passes requests on with net/http alone.
func netHTTP(t *testing.T, to string) func() *client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	ln := listen(t)
	server := &http.Server{Handler: passer(to, tr.RoundTrip), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		tr.CloseIdleConnections()
	})
	return func() *client {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return &client{t, c, bufio.NewReader(c)}
	}
}
