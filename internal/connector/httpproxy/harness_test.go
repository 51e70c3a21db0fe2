package httpproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/assemble"
	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/relay"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// sesame is the credential of every service; a target that sees it without
// being the right one, and a client that sees it at all, has found a leak.
const sesame = "opensesame-4711"

// token is an authenticator that sends the credential as a header, and as a
// query parameter where the service says so.
type token struct {
	query   bool
	renewed atomic.Int64
	current atomic.Pointer[string] // what Renew has found; nil: the credential
}

type tokenConfig struct {
	auth.Config
	Query  bool   `yaml:"query"`
	Hash   bool   `yaml:"hash"`
	Renews string `yaml:"renews"`
	Panics bool   `yaml:"panics"`
}

func (c *token) Authenticate(_ context.Context, r *auth.Request) error {
	v, _ := r.Secrets().Get("token")
	text := string(v.Bytes())
	if p := c.current.Load(); p != nil {
		text = *p
	}
	if c.query {
		r.SetQuery("key", text)
		return nil
	}
	return r.SetHeader("X-Token", "Token "+text)
}

// renewer has something better once.
type renewer struct {
	token
	to string
}

func (r *renewer) Renew(context.Context, *auth.Request) bool {
	if r.renewed.Add(1) > 1 {
		return false
	}
	r.current.Store(&r.to)
	return true
}

// hashing reads the whole body before it signs.
type hashing struct{ token }

func (h *hashing) Authenticate(ctx context.Context, r *auth.Request) error {
	body, err := r.Body(1 << 10)
	if err != nil {
		return err
	}
	if err := r.SetOpenHeader("X-Length", fmt.Sprint(len(body))); err != nil {
		return err
	}
	return h.token.Authenticate(ctx, r)
}

type panicking struct{}

func (panicking) Authenticate(context.Context, *auth.Request) error {
	var none []string
	_ = none[len(os.Args)+7]
	return nil
}

func tokenDefinition() connector.Definition {
	return httpproxy.Define(auth.Definition[tokenConfig]{
		Summary:     "a token for tests",
		Credentials: []connector.Credential{{Name: "token", Doc: "the token", Required: true, Secret: true}},
		New: func(c tokenConfig, _ auth.Setup) (auth.Authenticator, error) {
			switch {
			case c.Panics:
				return panicking{}, nil
			case c.Hash:
				return &hashing{}, nil
			case c.Renews != "":
				return &renewer{to: c.Renews}, nil
			}
			return &token{query: c.Query}, nil
		},
	})
}

// lines is a buffer for logs.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// proxy is a broker with HTTP services on one address.
type proxy struct {
	t      testing.TB
	addr   string
	log    *lines
	broker *broker.Broker
	audit  *events
	env    map[string]string
	all    *assemble.Assembler

	connector *httpproxy.Connector // the last that was applied
	text      string               // its configuration
}

func (p *proxy) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// events keeps audit events.
type events struct {
	mu   sync.Mutex
	all  []audit.Event
	fail atomic.Bool
}

func (e *events) Record(ev audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) Require(_ context.Context, ev audit.Event) error {
	if e.fail.Load() && ev.Type == audit.Used {
		return errors.New("disk full")
	}
	e.Record(ev)
	return nil
}

func (*events) Lost() uint64 { return 0 }

func (e *events) Close() error { return nil }

// check looks for the credential, and at the schema.
func (e *events) check(t testing.TB) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	audittest.Events(t, e.all)
	for _, ev := range e.all {
		if bytes.Contains(ev.Line(), []byte(sesame)) {
			t.Errorf("the credential is in the audit: %s", ev.Line())
		}
	}
}

func (e *events) of(typ audit.Type) (out []audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Type == typ {
			out = append(out, ev)
		}
	}
	return out
}

// svc is one service of a test's configuration: its config section.
type svc struct{ name, config, more string }

func configText(services ...svc) string {
	var w strings.Builder
	w.WriteString("version: \"2\"\nservices:\n")
	for _, s := range services {
		fmt.Fprintf(&w, "  %s:\n    connector: token\n    listenOn: tcp://127.0.0.1:0\n    credentials: { token: %s }\n    config: { %s }\n", s.name, sesame, s.config)
		if s.more != "" {
			fmt.Fprintf(&w, "    %s\n", s.more)
		}
	}
	return w.String()
}

func newAssembler(t testing.TB, env map[string]string, log io.Writer) *assemble.Assembler {
	t.Helper()
	a := assemble.New(assemble.Options{
		LookupEnv:  func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Log:        slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Connectors: map[string]connector.Definition{"token": tokenDefinition()},
	})
	t.Cleanup(a.Close)
	return a
}

// tryBuild returns the built services or the errors of a configuration.
func tryBuild(a *assemble.Assembler, text string) (*assemble.Built, error) {
	file, err := a.Parse("s.yml", []byte(text))
	if file == nil {
		return nil, err
	}
	built, buildErr := a.Build(file)
	if err := config.Join("s.yml", err, buildErr); err != nil {
		if built != nil {
			built.Discard()
		}
		return nil, err
	}
	return built, nil
}

func newProxy(t testing.TB, services ...svc) *proxy {
	t.Helper()
	return newProxyEnv(t, nil, services...)
}

// newProxyEnv runs services in a broker that has the test's authority for
// targets and for tunnels, and env.
func newProxyEnv(t testing.TB, env map[string]string, services ...svc) *proxy {
	t.Helper()
	return startProxy(t, env, true, services...)
}

func startProxy(t testing.TB, env map[string]string, audited bool, services ...svc) *proxy {
	t.Helper()
	p := &proxy{t: t, log: &lines{}, audit: &events{}, env: map[string]string{}}
	for k, v := range env {
		p.env[k] = v
	}
	p.env["SECRETLESS_HTTP_CA_BUNDLE"] = testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
	p.all = newAssembler(t, p.env, p.log)
	r, err := relay.New(relay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	options := broker.Options{Log: p.logger(), Relay: r}
	if audited {
		options.Audit = p.audit
	}
	p.broker = broker.New(options)
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if err := p.broker.Shutdown(ended); err != nil {
			t.Errorf("stopping: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		p.audit.check(t)
		if strings.Contains(p.log.String(), sesame) {
			t.Error("the credential is in the log")
		}
		if t.Failed() {
			t.Log(p.log)
		}
	})
	p.apply(configText(services...))
	return p
}

// apply loads a configuration, as a start or a reload does.
func (p *proxy) apply(text string) {
	p.t.Helper()
	p.text = text
	built, err := tryBuild(p.all, text)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, s := range built.Services {
		if c, ok := s.Connector.(*httpproxy.Connector); ok {
			c.SetAuthority(testAuthority(p.t))
			p.connector = c
		}
	}
	if err := p.broker.Apply(p.t.Context(), built.Services); err != nil {
		built.Rejected()
		p.t.Fatal(err)
	}
	built.Commit()
	for _, s := range p.broker.Status() {
		if len(s.Addresses) > 0 {
			p.addr = s.Addresses[0]
		}
	}
}

// authority answers every name with a certificate for localhost and 127.0.0.1.
type authority struct{ cert *tls.Certificate }

func (a authority) Certificate(string) (*tls.Certificate, error) { return a.cert, nil }

func testAuthority(t testing.TB) httpproxy.Authority {
	t.Helper()
	pair := testenv.CA(t).Server(t, testenv.CertECDSA)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	return authority{&cert}
}

func roots(t testing.TB) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(testenv.CA(t).CAPEM))
	return pool
}

// client is an HTTP client that uses the proxy.
func (p *proxy) client(change ...func(*http.Transport)) *http.Client {
	u := &url.URL{Scheme: "http", Host: p.addr}
	tr := &http.Transport{
		Proxy: http.ProxyURL(u), TLSClientConfig: &tls.Config{RootCAs: roots(p.t)},
		ForceAttemptHTTP2: true, DisableCompression: true,
	}
	for _, c := range change {
		c(tr)
	}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// raw sends text to the proxy and returns all that comes back: the text should
// end the connection.
func (p *proxy) raw(text string) string {
	p.t.Helper()
	conn := p.dial()
	if _, err := io.WriteString(conn, text); err != nil {
		p.t.Fatal(err)
	}
	all, _ := io.ReadAll(conn)
	if strings.Contains(string(all), sesame) {
		p.t.Errorf("the client got the credential: %q", all)
	}
	return string(all)
}

func (p *proxy) dial() net.Conn {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// open makes a tunnel to authority and returns what is behind it.
func (p *proxy) open(authority string) (net.Conn, *http.Response) {
	p.t.Helper()
	conn := p.dial()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", authority, authority)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		p.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK && in.Buffered() > 0 {
		p.t.Fatal("bytes behind the answer to CONNECT")
	}
	return conn, resp
}

// target is a server that records what it is asked.
type target struct {
	*httptest.Server
	host string // host:port
	mu   sync.Mutex
	seen []*http.Request
}

func newTarget(t *testing.T, h http.HandlerFunc) *target {
	t.Helper()
	tg := unstarted(h)
	tg.Start()
	return tg.started(t)
}

// newTLSTarget speaks HTTP/2 as well.
func newTLSTarget(t *testing.T, h http.HandlerFunc) *target {
	t.Helper()
	tg := unstarted(h)
	pair := testenv.CA(t).Server(t, testenv.CertECDSA)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	tg.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	tg.EnableHTTP2 = true
	tg.StartTLS()
	return tg.started(t)
}

func unstarted(h http.HandlerFunc) *target {
	tg := &target{}
	if h == nil {
		h = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") }
	}
	tg.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tg.mu.Lock()
		tg.seen = append(tg.seen, r.Clone(context.Background()))
		tg.mu.Unlock()
		h(w, r)
	}))
	tg.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	return tg
}

func (tg *target) started(t *testing.T) *target {
	tg.host = tg.Listener.Addr().String()
	t.Cleanup(func() {
		tg.CloseClientConnections()
		tg.Close()
	})
	return tg
}

func (tg *target) requests() []*http.Request {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return append([]*http.Request(nil), tg.seen...)
}

// last is the last request that came.
func (tg *target) last(t *testing.T) *http.Request {
	t.Helper()
	all := tg.requests()
	if len(all) == 0 {
		t.Fatal("the target was asked nothing")
	}
	return all[len(all)-1]
}

// get asks for url and returns status and body, which must not hold the
// credential.
func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, c, r)
}

func do(t *testing.T, c *http.Client, r *http.Request) (int, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), sesame) {
		t.Errorf("the client got the credential: %q", body)
	}
	return resp.StatusCode, string(body)
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not seen: %s", what)
		}
	}
}
