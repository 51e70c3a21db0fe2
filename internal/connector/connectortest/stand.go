package connectortest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/broker"
	"secretless/internal/connector"
	"secretless/internal/provider"
	"secretless/internal/relay"
)

// options vary the service that a case runs.
type options struct {
	limits   broker.Limits
	password string  // what the provider answers first
	source   *source // the provider; nil makes one for password
	sink     func(audit.Sink) audit.Sink
	cache    time.Duration // of the provider
	host     string        // of the target; empty means the double's
	port     string
}

// stand is a broker with one service in front of a target double.
type stand struct {
	t      *testing.T
	suite  Suite
	double *double
	source *source
	broker *broker.Broker
	tcp    string
	unix   string
	canary *canary
}

// newStand starts everything and ends it with the test, looking for secrets in
// whatever came out.
func newStand(t *testing.T, s Suite, o options) *stand {
	t.Helper()
	st := &stand{t: t, suite: s, canary: &canary{}}
	if o.password == "" {
		o.password = randomPassword()
	}
	st.canary.add(o.password)
	st.double = newDouble(t, s, o.password)
	st.source = o.source
	if st.source == nil {
		st.source = &source{values: map[string]string{"db/password": o.password}}
	}
	if o.host == "" {
		o.host, o.port, _ = net.SplitHostPort(st.double.addr())
	}
	if o.limits.HandshakeTimeout == 0 {
		o.limits.HandshakeTimeout = patience
	}
	if o.limits.ConnectTimeout == 0 {
		o.limits.ConnectTimeout = patience
	}
	st.start(o)
	return st
}

func (st *stand) start(o options) {
	t := st.t
	t.Helper()
	log := slog.New(slog.NewTextHandler(st.canary, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r, err := relay.New(relay.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	auditFile := filepath.Join(t.TempDir(), "audit.jsonl")
	sink, err := audit.Open([]string{"file://" + auditFile}, audit.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	recorded := sink
	if o.sink != nil {
		recorded = o.sink(sink)
	}
	st.broker = broker.New(broker.Options{Log: log, Relay: r, Audit: recorded})
	instance := provider.NewInstance(provider.InstanceOptions{Name: "double", Provider: st.source, Cache: o.cache, Timeout: 5 * time.Second, Log: log})
	service := st.service(o, instance, log)
	if err := st.broker.Apply(t.Context(), []*broker.Service{service}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if err := st.broker.Shutdown(ended); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("stopping the broker: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("stopping the relay: %v", err)
		}
		_ = sink.Close()
		instance.Close()
		events, _ := os.ReadFile(auditFile)
		checkTargets(t, audittest.Text(t, events))
		_, _ = st.canary.Write(events)
		st.canary.check(t)
	})
	for _, a := range st.broker.Status()[0].Addresses {
		if a != st.unix {
			st.tcp = a
		}
	}
}

func (st *stand) service(o options, instance *provider.Instance, log *slog.Logger) *broker.Service {
	t := st.t
	t.Helper()
	var refs []provider.Ref
	var given []string
	for name, value := range st.suite.Credentials(o.host, o.port) {
		given = append(given, name)
		refs = append(refs, provider.Ref{Name: name, Literal: literal(value)})
	}
	given = append(given, st.suite.Password)
	refs = append(refs, provider.Ref{Name: st.suite.Password, Instance: instance, Get: "db/password"})
	credentials := provider.NewCredentials("conformance", refs, log)
	decode := st.suite.Decode
	if decode == nil {
		decode = func(any) error { return nil }
	}
	conn, err := st.suite.Definition.Build(connector.Setup{Service: "conformance", Decode: decode, Credentials: given, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ct") // short: the path of a socket has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	st.unix = filepath.Join(dir, "s")
	return &broker.Service{
		Name: "conformance", Digest: "1", Kind: "under-test",
		Connector: conn, Credentials: credentials,
		Listen: []broker.Address{{Network: "tcp", Address: "127.0.0.1:0"}, {Network: "unix", Address: st.unix}},
		Socket: broker.Socket{Mode: 0o600, UID: -1, GID: -1},
		Limits: o.limits, Drain: patience,
		Close: sync.OnceFunc(func() {
			credentials.Close()
			if c, ok := conn.(connector.Closer); ok {
				c.Close()
			}
		}),
	}
}

// dial opens a client connection whose received bytes are checked for secrets.
func (st *stand) dial() net.Conn { return st.dialTo("tcp", st.tcp) }

func (st *stand) dialTo(network, address string) net.Conn {
	st.t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		st.t.Fatalf("connecting to the broker: %v", err)
	}
	st.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &tapped{Conn: c, tap: st.canary}
}

// login dials and logs in, or fails the test.
func (st *stand) login() net.Conn {
	st.t.Helper()
	c, err := st.suite.Login(st.dial(), nil)
	if err != nil {
		st.t.Fatalf("logging in through the broker: %v", err)
	}
	return c
}

// refused dials, expects the protocol's error and returns it.
func (st *stand) refused() *Refusal {
	st.t.Helper()
	_, err := st.suite.Login(st.dial(), nil)
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		st.t.Fatalf("the client got %v, want an error of its protocol", err)
	}
	return r
}

// tapped copies what is read into tap.
type tapped struct {
	net.Conn
	tap io.Writer
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	_, _ = c.tap.Write(b[:n])
	return n, err
}

// CloseWrite half-closes.
func (c *tapped) CloseWrite() error { return closeWrite(c.Conn) }

// canary collects everything that comes out of the broker and looks for
// secrets in it: as they are, in hex and in base64.
type canary struct {
	mu      sync.Mutex
	seen    bytes.Buffer
	secrets []string
}

// maxSeen keeps a case that moves many bytes from filling memory: the login
// and the messages are what matters.
const maxSeen = 8 << 20

func (c *canary) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen.Len() < maxSeen {
		c.seen.Write(b)
	}
	return len(b), nil
}

func (c *canary) add(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secrets = append(c.secrets, secret)
}

func (c *canary) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.secrets {
		for _, form := range []string{s, hex.EncodeToString([]byte(s)), base64.RawStdEncoding.EncodeToString([]byte(s))} {
			if i := bytes.Index(c.seen.Bytes(), []byte(form)); i >= 0 {
				t.Errorf("a secret came out of the broker, after: %q", c.seen.Bytes()[max(0, i-200):i])
			}
		}
	}
}
