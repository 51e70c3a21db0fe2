package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"secretless/internal/secret"
)

const (
	// maxAnswer bounds what is read of an answer, so that its connection can be
	// used again; more of it ends the connection.
	maxAnswer = 64 << 10
	// maxHeader bounds its head.
	maxHeader = 64 << 10
	idleTime  = 90 * time.Second
	// firstPause doubles from one attempt to the next.
	firstPause = time.Second
	maxPause   = 10 * time.Second
)

// client makes the requests. Redirects are not followed, no proxy is used, and
// compressed answers are not asked for: a collector's answers are short.
type client struct {
	to   Destination
	http *http.Client
}

func newClient(to Destination) *client {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: to.Roots}
	c := &client{to: to}
	if len(to.CertPEM) > 0 {
		config.GetClientCertificate = c.certificate
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: to.Timeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    to.Timeout,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    2,
			MaxConnsPerHost:        4,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// certificate is the client's, with the key of this moment.
func (c *client) certificate(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(info.Context(), c.to.Timeout)
	defer cancel()
	set, err := c.to.Credentials.Get(ctx)
	if err != nil {
		return nil, keyError{err}
	}
	defer set.Wipe()
	key, _ := set.Get(KeyName)
	pair, err := tls.X509KeyPair(c.to.CertPEM, key.Bytes())
	if err != nil {
		// The parser's error may quote what it read.
		return nil, keyError{errors.New("otlp.key is no PEM private key that belongs to otlp.cert")}
	}
	return &pair, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answerError is an answer that is no success.
type answerError struct {
	status int
	after  time.Duration // Retry-After
}

func (e *answerError) Error() string {
	return fmt.Sprintf("the collector answered %d %s", e.status, http.StatusText(e.status))
}

// passing says whether the same request may succeed later.
func passing(err error) bool {
	e, ok := errors.AsType[*answerError](err)
	if !ok {
		return true
	}
	switch e.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// send sends one message with so many data points or spans, at most attempts
// times, and returns how many of them the collector has rejected.
func (c *client) send(ctx context.Context, signal string, message proto.Message, items, attempts int) (rejected uint64, err error) {
	body, err := proto.Marshal(message)
	if err != nil {
		return 0, fmt.Errorf("encoding %s: %w", signal, err)
	}
	pause := firstPause
	for {
		answer, err := c.attempt(ctx, signal, body)
		if err == nil {
			return rejectedIn(answer, uint64(items)), nil
		}
		if attempts--; attempts <= 0 || !passing(err) {
			return 0, err
		}
		wait := pause
		if e, ok := errors.AsType[*answerError](err); ok {
			wait = min(max(wait, e.after), maxPause)
		}
		pause = min(2*pause, maxPause)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, err
		}
	}
}

// attempt makes one request, and a second one where a header was refused that
// was replaced meanwhile.
func (c *client) attempt(ctx context.Context, signal string, body []byte) (answer []byte, err error) {
	answer, retry, err := c.post(ctx, signal, body)
	if retry {
		answer, _, err = c.post(ctx, signal, body)
	}
	return answer, err
}

func (c *client) post(ctx context.Context, signal string, body []byte) (answer []byte, retry bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.to.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.to.Endpoint, "/")+"/v1/"+signal, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", "secretless")
	set, err := c.addHeaders(ctx, r.Header)
	if err != nil {
		return nil, false, err
	}
	defer set.Wipe()
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, false, connectError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // of one that breaks off there is nothing to know
	switch {
	case resp.StatusCode/100 == 2:
		if set != nil {
			c.to.Credentials.Accepted(set)
		}
		return answer, false, nil
	case set != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden):
		retry = c.to.Credentials.Rejected(set)
	}
	return nil, retry, &answerError{resp.StatusCode, retryAfter(resp.Header)}
}

// addHeaders resolves the headers; the caller wipes the set, nil where there
// are none.
func (c *client) addHeaders(ctx context.Context, h http.Header) (*secret.Set, error) {
	if len(c.to.Headers) == 0 {
		return nil, nil
	}
	set, err := c.to.Credentials.Get(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range c.to.Headers {
		v, _ := set.Get(name)
		text := strings.TrimSpace(string(v.Bytes())) // a file ends in a newline
		if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			set.Wipe()
			return nil, fmt.Errorf("the value of the header %s has a control character in it", name)
		}
		h.Set(name, text)
	}
	return set, nil
}

// retryAfter reads the header, in seconds.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
