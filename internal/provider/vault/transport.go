package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"secretless/internal/secret"
)

const (
	// maxAnswer bounds the body of an answer: several times what Vault stores
	// in one secret.
	maxAnswer = 4 << 20

	dialTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second
)

var errAnswerTooLarge = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// tokenKey is a context's key for the token of its requests.
type tokenKey struct{}

func withToken(ctx context.Context, token secret.Value) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// transport sends requests for the client. It alone sees to which server they
// go, so it puts the token on, decides about redirects and bounds the answers.
type transport struct {
	connection
	origin *url.URL // scheme and host

	mu   sync.Mutex
	base *http.Transport // nil until it is needed
}

// newTransport reads no file yet: a configuration may be checked on another
// machine than it is used on.
func newTransport(c connection) (*transport, error) {
	origin, err := url.Parse(c.Address)
	if err != nil {
		return nil, err
	}
	if origin.Scheme == "unix" {
		origin = &url.URL{Scheme: "http", Host: "localhost"}
	}
	return &transport{connection: c, origin: origin}, nil
}

// connect returns what connects to the servers, after reading the CAs'
// certificates if that has not been done.
func (t *transport) connect() (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.base == nil {
		base, err := newBase(t.connection)
		if err != nil {
			return nil, &failure{text: "cannot prepare the connection", cause: err}
		}
		t.base = base
	}
	return t.base, nil
}

// reconnect reads the certificates again next time: the CA may have been
// replaced.
func (t *transport) reconnect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.base != nil {
		t.base.CloseIdleConnections()
		t.base = nil
	}
}

func newBase(c connection) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	base := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    dialTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    4,
		MaxConnsPerHost:        64,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if c.Proxy != "" {
		proxy, err := url.Parse(c.Proxy)
		if err != nil {
			return nil, errors.New("proxy is not a URL")
		}
		base.Proxy = http.ProxyURL(proxy)
	}
	if socket, ok := strings.CutPrefix(c.Address, "unix://"); ok {
		base.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	var err error
	base.TLSClientConfig, err = tlsConfig(c)
	return base, err
}

func tlsConfig(c connection) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName}
	roots, err := readRoots(c)
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	if c.ClientCert != "" {
		// Read for each handshake: such certificates are short-lived.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
			if err != nil {
				return nil, &failure{text: "client certificate " + c.ClientCert, cause: err, transient: true}
			}
			return &pair, nil
		}
	}
	return config, nil
}

// readRoots returns nil for the system's.
func readRoots(c connection) (*x509.CertPool, error) {
	var files []string
	switch {
	case c.CACert != "":
		files = []string{c.CACert}
	case c.caText != "":
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(c.caText)) {
			return nil, errors.New("VAULT_CACERT_BYTES holds no PEM certificate")
		}
		return roots, nil
	case c.caPath != "":
		entries, err := os.ReadDir(c.caPath)
		if err != nil {
			return nil, fmt.Errorf("VAULT_CAPATH: %w", err)
		}
		for _, e := range entries {
			files = append(files, filepath.Join(c.caPath, e.Name()))
		}
	default:
		return nil, nil
	}
	roots, found := x509.NewCertPool(), false
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("certificates of the CAs: %w", err)
		}
		found = roots.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return nil, fmt.Errorf("certificates of the CAs: no PEM certificate in %s", strings.Join(files, ", "))
	}
	return roots, nil
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	resp, err := t.send(r, t.origin, body)
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
		return resp, err
	}
	_ = resp.Body.Close()
	leader, err := t.leader(r, resp)
	if err != nil {
		return nil, err
	}
	if resp, err = t.send(r, leader, body); err == nil && resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		_ = resp.Body.Close()
		return nil, errRedirect
	}
	return resp, err
}

// send sends r to a server of the cluster.
func (t *transport) send(r *http.Request, to *url.URL, body []byte) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = to.Scheme, to.Host, ""
	out.Body, out.GetBody, out.ContentLength = nil, nil, 0
	if len(body) > 0 {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	if t.Namespace != "" {
		out.Header.Set("X-Vault-Namespace", t.Namespace)
	}
	if token, ok := r.Context().Value(tokenKey{}).(secret.Value); ok && token.Len() > 0 {
		out.Header.Set("X-Vault-Token", string(token.Bytes()))
	}
	base, err := t.connect()
	if err != nil {
		return nil, err
	}
	resp, err := base.RoundTrip(out)
	if err != nil {
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
			t.reconnect()
		}
		return nil, err
	}
	resp.Body = &bounded{resp.Body, maxAnswer}
	return resp, nil
}

// bounded is a body that may have so many bytes.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errAnswerTooLarge
	}
	return n, err
}
