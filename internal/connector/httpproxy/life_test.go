package httpproxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/audit"
	"secretless/internal/testenv"
)

// ask sends one request on conn, which stays open, and returns the answer.
func ask(t *testing.T, conn net.Conn, in *bufio.Reader, url string) *http.Response {
	t.Helper()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", url)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(body), sesame) {
		t.Fatalf("%q %v", body, err)
	}
	return resp
}

func TestDrainEndsIdleClients(t *testing.T) {
	tg := newTarget(t, nil)
	secure := newTLSTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q, %q]", tg.host, secure.host), more: "drain: 10m"})
	conn := p.dial()
	in := bufio.NewReader(conn)
	ask(t, conn, in, tg.URL)
	c := p.client() // an idle HTTP/2 connection in a tunnel
	get(t, c, secure.URL)
	eventually(t, "two connections", func() bool { return p.broker.Status()[0].Active == 2 })
	if err := p.broker.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	eventually(t, "no connection", func() bool { return len(p.broker.Status()) == 0 })
}

func TestDrainWaitsForTheAnswer(t *testing.T) {
	asked, answer := make(chan struct{}, 3), make(chan struct{})
	h := func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, "late")
	}
	tg, secure := newTarget(t, h), newTLSTarget(t, h)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q, %q]", tg.host, secure.host), more: "drain: 10m"})
	results := make(chan string, 2)
	for _, u := range []string{tg.URL, secure.URL} {
		c := p.client()
		go func() {
			resp, err := c.Get(u)
			if err != nil {
				results <- err.Error()
				return
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			results <- fmt.Sprint(string(body), err)
		}()
	}
	<-asked
	<-asked
	if err := p.broker.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	close(answer)
	for range 2 {
		if got := <-results; got != "late<nil>" {
			t.Error(got)
		}
	}
	eventually(t, "no connection", func() bool { return len(p.broker.Status()) == 0 })
}

// A reload that changes one member replaces the address's service; what has
// not changed stays, connections included.
func TestReloadOfSharedAddress(t *testing.T) {
	one, two := newTarget(t, nil), newTarget(t, nil)
	addr := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	text := func(services ...svc) string {
		return strings.ReplaceAll(configText(services...), "tcp://127.0.0.1:0", "tcp://"+addr)
	}
	a := svc{name: "a", config: fmt.Sprintf("hosts: [%q]", one.host)}
	b := svc{name: "b", config: "hosts: [b.example]"}
	p := newProxy(t, a)
	p.apply(text(a, b))
	conn := p.dial()
	in := bufio.NewReader(conn)
	ask(t, conn, in, one.URL)
	p.apply("# a comment\n" + text(a, b))
	p.apply(text(b, a)) // another order is no change
	if resp := ask(t, conn, in, one.URL); resp.StatusCode != 200 || resp.Close {
		t.Errorf("%v", resp)
	}
	b.config = fmt.Sprintf("hosts: [%q]", two.host)
	p.apply(text(a, b))
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection of the old set: %v", err)
	}
	conn = p.dial()
	if resp := ask(t, conn, bufio.NewReader(conn), two.URL); resp.StatusCode != 200 || two.last(t).Header.Get("X-Token") == "" {
		t.Errorf("%v", resp)
	}
	p.apply(text(b)) // alone again
	conn = p.dial()
	if resp := ask(t, conn, bufio.NewReader(conn), one.URL); resp.StatusCode != 403 {
		t.Errorf("%v", resp)
	}
}

func TestProbesAndSlowClients(t *testing.T) {
	p := newProxy(t, svc{name: "a", config: "hosts: [a.example]", more: "limits: { handshakeTimeout: 300ms }"})
	_ = p.dial().Close()
	silent, slow := p.dial(), p.dial()
	_, _ = io.WriteString(slow, "GET http://a.example/ HTTP/1.1\r\nHo")
	for _, c := range []net.Conn{silent, slow} {
		if rest, err := io.ReadAll(c); err != nil || strings.Contains(string(rest), "200") {
			t.Errorf("%q %v", rest, err)
		}
	}
	if out := p.raw("\x16\x03\x01 this is no HTTP\r\n\r\n"); !strings.Contains(out, "400") {
		t.Errorf("%q", out)
	}
	// The head of a second request has its time too.
	conn := p.dial()
	in := bufio.NewReader(conn)
	ask(t, conn, in, "http://b.example/")
	time.Sleep(400 * time.Millisecond) // longer than the time for a head, which does not run while nothing is sent
	_, _ = io.WriteString(conn, "GET http://b.example/ HTTP/1.1\r\nHo")
	if rest, err := io.ReadAll(in); err != nil {
		t.Errorf("%q %v", rest, err)
	}
	eventually(t, "no connection", func() bool { return p.broker.Status()[0].Active == 0 })
	eventually(t, "failures of three kinds", func() bool {
		s := p.broker.Status()[0]
		return s.Failures["timeout"] == 2 && s.Failures["protocol"] == 1 && s.Failed == 3
	})
}

func TestConnectionLimit(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host), more: "limits: { connections: 1 }"})
	conn := p.dial()
	ask(t, conn, bufio.NewReader(conn), tg.URL)
	if out := p.raw("GET " + tg.URL + " HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(out, "HTTP/1.1 503 ") || !strings.Contains(out, "limits.connections") {
		t.Errorf("%q", out)
	}
}

func TestStopCutsRequests(t *testing.T) {
	asked := make(chan struct{}, 1)
	tg := newTarget(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host), more: "drain: 0s"})
	conn := p.dial()
	// The body is never sent: nobody reads that the client is there.
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello", tg.URL)
	<-asked
	if err := p.broker.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn)
	eventually(t, "no connection", func() bool { return len(p.broker.Status()) == 0 })
}

func TestClientGoneEndsTheRequest(t *testing.T) {
	asked, ended := make(chan struct{}, 1), make(chan struct{})
	tg := newTarget(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		close(ended)
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	conn := p.dial()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", tg.URL)
	<-asked
	_ = conn.Close()
	<-ended
}

// An answer that the target breaks off does not look whole to the client.
func TestBrokenAnswer(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "100000")
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, tg := range []*target{newTarget(t, h), newTLSTarget(t, h)} {
		for _, redact := range []string{"true", "false"} {
			p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], redact: %s", tg.host, redact)})
			for _, path := range []string{"/length", "/chunks"} {
				resp, err := p.client().Get(tg.URL + path)
				if err != nil {
					continue // broken before the head was passed on
				}
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err == nil {
					t.Errorf("%s%s, redact %s: the answer looks whole", tg.URL, path, redact)
				}
			}
		}
	}
}

// An early answer reaches a client that goes on sending.
func TestEarlyAnswer(t *testing.T) {
	tg := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	conn := p.dial()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", tg.URL)
	_, _ = conn.Write(make([]byte, 10000))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("%v %v", resp, err)
	}
}

func TestStatusOfFailures(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	garbage := rawAnswer(t, "SSH-2.0-OpenSSH_9.2\r\n")
	endless := rawAnswer(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("y", 400<<10)+"\r\n\r\n")
	wants407 := newTarget(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) })
	untrusted := tlsServer(t, testenv.CertOtherCA)
	expired := tlsServer(t, testenv.CertExpired)
	closed := testenv.Refusing(t).String()
	hosts := fmt.Sprintf("[%q, %q, %q, %q, %q, %q, %q, plain.invalid, '169.254.169.253']", silent.Addr(), garbage, endless, wants407.host, untrusted, expired, closed)
	p := newProxy(t, svc{name: "a", config: "responseTimeout: 300ms, allowPlaintext: true, hosts: " + hosts},
		svc{name: "secured", config: "hosts: [secured.example], paths: [/x]"})
	for name, c := range map[string]struct {
		url    string
		status int
		text   string
	}{
		"silent":    {"http://" + silent.Addr().String() + "/", 504, "did not answer in time"},
		"garbage":   {"http://" + garbage + "/", 502, "no HTTP"},
		"endless":   {"http://" + endless + "/", 502, "too large"},
		"407":       {wants407.URL + "/", 502, "407"},
		"untrusted": {"https://" + untrusted + "/", 502, "a CA of your own goes into SECRETLESS_HTTP_CA_BUNDLE"},
		"expired":   {"https://" + expired + "/", 502, "the certificate of https://" + expired + " has expired on 20"},
		"closed":    {"http://" + closed + "/", 502, "refuses connections"},
		"no name":   {"http://plain.invalid/", 502, "host of http://plain.invalid"},
		"in clear":  {"http://secured.example/x", 403, "forceSSL: true"},
	} {
		t.Run(name, func(t *testing.T) {
			out := p.raw("GET " + c.url + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(out, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || !strings.Contains(out, c.text) || !strings.Contains(out, "secretless: service ") || !strings.Contains(out, "Proxy-Status: secretless; error=") {
				t.Errorf("got %q", out)
			}
		})
	}
	// A client that has left is told nothing, and that is nobody's failure.
	conn := p.dial()
	fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", silent.Addr())
	_ = conn.Close()
	eventually(t, "the last connection's end", func() bool { return p.broker.Status()[0].Active == 0 })
	// Each is a failure of the service, but for the one that is the client's own.
	if n := p.broker.Status()[0].RequestsFailed; n != 8 {
		t.Errorf("%d requests are counted as failed", n)
	}
	if n := strings.Count(p.log.String(), `level=WARN msg="request not served" service=`); n != 8 {
		t.Errorf("%d warnings", n)
	}
}

// tlsServer is a target with such a certificate.
func tlsServer(t *testing.T, kind testenv.Cert) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	pair := testenv.CA(t).Server(t, kind)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// rawAnswer is a target that says text to everybody.
func rawAnswer(t *testing.T, text string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

func TestBodyThatMustBeHashed(t *testing.T) {
	tg := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Length"), body)
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], hash: true", tg.host)})
	for _, length := range []int64{0, -1} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, tg.URL, io.MultiReader(strings.NewReader("body")))
		if length == 0 {
			r.ContentLength = 4
		}
		if status, body := do(t, p.client(), r); status != 200 || body != "4 body" {
			t.Errorf("%d %q", status, body)
		}
	}
	for _, length := range []int64{2000, -1} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, tg.URL, io.MultiReader(strings.NewReader(strings.Repeat("x", 2000))))
		r.ContentLength = length
		if status, body := do(t, p.client(), r); status != 413 || !strings.Contains(body, "too large to be signed") {
			t.Errorf("%d %q", status, body)
		}
	}
}

func TestRenewalAfter401(t *testing.T) {
	tg := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-Token") != "Token fresh-token-99" {
			w.WriteHeader(401)
			return
		}
		_, _ = w.Write(body)
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], renews: fresh-token-99", tg.host)})
	if status, body := get(t, p.client(), tg.URL); status != 200 || body != "" {
		t.Errorf("%d %q", status, body)
	}
	if n := len(tg.requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
	// A body that was streamed cannot be sent again; the next one profits.
	p = newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], renews: fresh-token-99", tg.host)})
	for _, want := range []int{401, 200} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, tg.URL, io.MultiReader(strings.NewReader("body")))
		if status, _ := do(t, p.client(), r); status != want {
			t.Errorf("%d, want %d", status, want)
		}
	}
}

// The target's redirect is the client's to follow, and carries nothing.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newTarget(t, nil)
	tg := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/stolen", http.StatusFound)
	})
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], unmatched: forward", tg.host)})
	c := p.client()
	c.CheckRedirect = nil
	if status, _ := get(t, c, tg.URL); status != 200 {
		t.Error(status)
	}
	if h := other.last(t).Header; h.Get("X-Token") != "" {
		t.Errorf("%v", h)
	}
}

func TestListenerTLS(t *testing.T) {
	tg, secure := newTarget(t, nil), newTLSTarget(t, nil)
	pair := testenv.CA(t).Server(t, testenv.CertECDSA)
	cert, key := pair.Files(t)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q, %q]", tg.host, secure.host), more: fmt.Sprintf("tls: { cert: %q, key: %q }", cert, key)})
	c := p.client(func(tr *http.Transport) {
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "https", Host: p.addr})
	})
	for _, u := range []string{tg.URL, secure.URL} {
		if status, body := get(t, c, u); status != 200 || body != "hello\n" {
			t.Errorf("%s: %d %q", u, status, body)
		}
	}
	conn := p.dial()
	_, _ = io.WriteString(conn, "GET "+tg.URL+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if out, _ := io.ReadAll(conn); strings.Contains(string(out), "hello") {
		t.Errorf("plain text was served: %q", out)
	}
}

// Requests without a service reach the broker's machine only from there.
func TestForwardToLoopback(t *testing.T) {
	tg := newTarget(t, nil)
	dir := filepath.Join(t.TempDir(), "s")
	p := newProxy(t, svc{name: "a", config: "hosts: [a.example], unmatched: forward"})
	if status, _ := get(t, p.client(), tg.URL); status != 200 {
		t.Error(status)
	}
	text := strings.ReplaceAll(configText(svc{name: "a", config: "hosts: [a.example], unmatched: forward"}), "tcp://127.0.0.1:0", "unix://"+dir)
	p.apply(text)
	conn, err := net.Dial("unix", dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	resp := ask(t, conn, bufio.NewReader(conn), tg.URL)
	if resp.StatusCode != 403 {
		t.Errorf("%v", resp)
	}
}

// Who takes the proxy for a server is told how to ask it, in a way that is
// possible where the client is.
func TestTakenForAServer(t *testing.T) {
	plain := svc{name: "a", config: "hosts: [a.example]"}
	p := newProxy(t, plain)
	socket := filepath.Join(t.TempDir(), "s")
	p.apply(strings.Replace(configText(plain), "tcp://127.0.0.1:0", "unix://"+socket, 1))
	overSocket, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = overSocket.Close() }()
	other := newProxy(t, plain)
	for name, test := range map[string]struct {
		conn net.Conn
		want string
	}{
		"tcp":  {other.dial(), "(http_proxy=http://" + other.addr + ")"},
		"unix": {overSocket, "need a listener on tcp://"},
	} {
		_, _ = io.WriteString(test.conn, "GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(test.conn)
		if !strings.Contains(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), test.want) || strings.Contains(string(answer), "http:///") {
			t.Errorf("%s: %s", name, answer)
		}
	}
	if log := p.log.String() + other.log.String(); strings.Count(log, `request="GET /x"`) != 2 {
		t.Errorf("the log does not name the request as it was: %s", log)
	}
}

// connectProxy is an upstream proxy that maps every name to one target, and
// remembers what it saw.
type connectProxy struct {
	*httptest.Server
	asked atomic.Pointer[string]
	plain atomic.Int64
}

func newConnectProxy(t *testing.T, to string) *connectProxy {
	t.Helper()
	c := &connectProxy{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			c.plain.Add(1)
			_, _ = io.WriteString(w, "from the upstream proxy\n")
			return
		}
		text := r.Host + " " + r.Header.Get("Proxy-Authorization") + " " + fmt.Sprint(r.Header)
		c.asked.Store(&text)
		out, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{in})
			_ = out.Close()
		}()
		_, _ = io.Copy(struct{ io.Writer }{in}, struct{ io.Reader }{out})
		_ = in.Close()
	}))
	t.Cleanup(c.Close)
	return c
}

func TestUpstreamProxy(t *testing.T) {
	secure := newTLSTarget(t, nil)
	_, port, _ := strings.Cut(secure.host, ":")
	up := newConnectProxy(t, secure.host)
	proxyURL := strings.Replace(up.URL, "http://", "http://me:pw@", 1)
	plain := newTarget(t, nil)
	p := newProxyEnv(t, map[string]string{"HTTPS_PROXY": proxyURL, "HTTP_PROXY": proxyURL, "NO_PROXY": "unproxied.example"},
		svc{name: "a", config: fmt.Sprintf("hosts: ['localhost.:%s', 'wrong.example:%s', %q], allowPlaintext: true", port, port, plain.host)},
		svc{name: "b", config: "hosts: ['plain.example'], allowPlaintext: true, unmatched: forward"})
	// localhost never goes through a proxy; a name does, and its certificate is
	// that of the name or refused.
	status, body := get(t, p.client(), fmt.Sprintf("http://wrong.example:%s/", port))
	if status != 502 {
		t.Errorf("%d %q", status, body)
	}
	if up.plain.Load() != 0 {
		t.Error("a credential went through the upstream proxy in clear")
	}
	conn, resp := p.open(fmt.Sprintf("wrong.example:%s", port))
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	inner := tls.Client(conn, &tls.Config{ServerName: "wrong.example", InsecureSkipVerify: true})
	fmt.Fprintf(inner, "GET / HTTP/1.1\r\nHost: wrong.example:%s\r\nConnection: close\r\n\r\n", port)
	resp, err := http.ReadResponse(bufio.NewReader(inner), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 502 || !strings.Contains(string(text), "certificate") {
		t.Errorf("%s %q", resp.Status, text)
	}
	if asked := up.asked.Load(); asked == nil || !strings.HasPrefix(*asked, "wrong.example:"+port+" Basic ") || strings.Contains(*asked, sesame) {
		t.Errorf("the upstream proxy was asked for %v", asked)
	}
	if len(secure.requests()) != 0 {
		t.Error("a target with another name got the request")
	}
	// Without a service, plain HTTP goes through it, and tunnels do.
	if status, body := get(t, p.client(), "http://other.example/"); status != 200 || body != "from the upstream proxy\n" {
		t.Errorf("%d %q", status, body)
	}
	conn, resp = p.open("other.example:443")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	raw := tls.Client(conn, &tls.Config{ServerName: "localhost", RootCAs: roots(t)})
	if err := raw.HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
}

// A broker whose upstream proxy is itself notices.
func TestLoop(t *testing.T) {
	addr := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	p := newProxyEnv(t, map[string]string{"HTTPS_PROXY": "http://" + addr}, svc{name: "a", config: "hosts: [a.example], unmatched: forward"})
	p.apply(strings.ReplaceAll(configText(svc{name: "a", config: "hosts: [a.example], unmatched: forward"}), "tcp://127.0.0.1:0", "tcp://"+addr))
	if _, resp := p.open("b.example:443"); resp.StatusCode != 502 {
		t.Error(resp.Status)
	}
	if !strings.Contains(p.log.String(), "leads back to it") {
		t.Error("the loop was not seen")
	}
}

// A request in clear text goes round no more often than a tunnel, and a target
// that no proxy leads to learns nothing of one.
func TestLoopOfPlainRequests(t *testing.T) {
	addr := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	service := svc{name: "a", config: "hosts: [a.example], unmatched: forward", more: "limits: { connections: 10 }"}
	p := newProxyEnv(t, map[string]string{"http_proxy": "http://" + addr}, service)
	p.apply(strings.ReplaceAll(configText(service), "tcp://127.0.0.1:0", "tcp://"+addr))
	if status, body := get(t, p.client(), "http://b.example/"); status != 508 || !strings.Contains(body, "leads back to it") {
		t.Errorf("%d %q", status, body)
	}
	tg := newTarget(t, nil) // on this machine, for which no proxy is asked
	if status, body := get(t, p.client(), tg.URL); status != 200 || tg.last(t).Header.Get("Via") != "" {
		t.Errorf("%d %q %v", status, body, tg.last(t).Header)
	}
}

func TestAuditNamesMembers(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)}, svc{name: "b", config: "hosts: [b.example]"})
	get(t, p.client(), tg.URL+"/path?query=1")
	eventually(t, "the answer", func() bool { return len(p.audit.of(audit.Answered)) == 1 })
	u, e := p.audit.of(audit.Used)[0], p.audit.of(audit.Answered)[0]
	if u.Service != "a" || e.Service != "a" || u.Connector != "token" || strings.Contains(u.Detail+e.Detail, "query") || u.Connection != e.Connection {
		t.Errorf("%+v\n%+v", u, e)
	}
}
