package conjur

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

const (
	// maxAnswer bounds an answer: a batch of values, which base64 makes larger.
	maxAnswer   = 8 << 20
	maxHeaders  = 64 << 10
	dialTimeout = 5 * time.Second
)

// errTooLarge is an answer that nobody asked for.
var errTooLarge = errors.New("answer is larger than 8 MiB; is this Conjur?")

// newClient makes the HTTP client of an identity. It follows no redirects:
// they could take a token or an API key to another host.
func newClient(id identity, env environment, cert *tls.Certificate) (*http.Client, error) {
	roots, err := id.roots()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	proxy := proxyOf(env)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    dialTimeout,
			MaxResponseHeaderBytes: maxHeaders,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // Conjur's base64 is asked for by the same header
		},
	}, nil
}

func proxyOf(env environment) func(*url.URL) (*url.URL, error) {
	either := func(upper string) string {
		v := env.get(upper)
		first(&v, env.get(strings.ToLower(upper)))
		return v
	}
	// None for HTTP: it would get keys and secrets to read.
	c := httpproxy.Config{HTTPSProxy: either("HTTPS_PROXY"), NoProxy: either("NO_PROXY")}
	return c.ProxyFunc()
}

// roots are the authorities to trust: the given ones alone, or the system's.
func (id identity) roots() (*x509.CertPool, error) {
	pem := []byte(id.Certificate)
	if id.Certificate == "" && id.CertFile == "" {
		return nil, nil
	}
	if id.Certificate == "" {
		b, err := readFile(id.CertFile)
		if err != nil {
			return nil, fmt.Errorf("certificate of Conjur: %w", err)
		}
		pem = b
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("certificate of Conjur is no PEM with a certificate")
	}
	return pool, nil
}

// answer is what came: the body is the caller's to clear.
type answer struct {
	status int
	base64 bool
	body   []byte
}

// send makes one request and reads all of its answer.
func send(ctx context.Context, c *http.Client, method, url string, header map[string]string, body io.Reader) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return answer{}, errors.New("the URL of Conjur cannot be used; check applianceURL and authnURL")
	}
	r.Header.Set("User-Agent", "secretless")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := readBounded(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Encoding") == "base64", b}, nil
}

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = errTooLarge
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b, nil
}
