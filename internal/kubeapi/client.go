package kubeapi

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Bounds of a connection. A request's own deadline is its context's.
const (
	dialTimeout     = 10 * time.Second
	answerTimeout   = 30 * time.Second // for the answer's header
	maxAnswerHeader = 64 << 10
)

// Client sends requests to one API server, over connections of its own.
type Client struct {
	access *Access
	http   *http.Client
}

// Client returns a client that uses a until the returned function is called,
// which closes its connection. Only then may a be wiped.
func (a *Access) Client() (*Client, func()) {
	// A peer that is gone without a word is noticed after half a minute, also by
	// a request whose answer goes on for minutes.
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        a.tls,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  answerTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		// The length of a compressed answer would depend on the secret.
		DisableCompression: true,
	}
	if a.proxy != nil {
		transport.Proxy = http.ProxyURL(a.proxy)
	}
	return &Client{a, &http.Client{
		Transport: transport,
		// A token goes to the server that it is meant for and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, transport.CloseIdleConnections
}

// Request is one request. The segments of Path must have been checked: they
// become a path as they are.
type Request struct {
	Method      string // empty means GET
	Path        []string
	Query       url.Values
	ContentType string
	Body        []byte
}

// Do sends a request, whatever the answer's status. The caller closes the
// answer's body. A server that has just started, and so forbids everything, is
// a TransientError.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	resp, err := c.send(ctx, r)
	if err == nil && resp.StatusCode == http.StatusForbidden {
		_ = resp.Body.Close()
		return c.again(ctx, r)
	}
	return resp, err
}

// again tells a server that has just started from one that means it: a server
// lets everybody ask whether it is ready. One that is may have become so since
// its answer, so it is asked once more.
func (c *Client) again(ctx context.Context, r Request) (*http.Response, error) {
	ready, err := c.send(ctx, Request{Path: []string{"readyz"}})
	if err != nil {
		return nil, err
	}
	_ = ready.Body.Close()
	if ready.StatusCode/100 == 5 {
		return nil, TransientError{errors.New("the API server has just started and knows no rights yet")}
	}
	return c.send(ctx, r)
}

func (c *Client) send(ctx context.Context, r Request) (*http.Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	u := c.access.server.JoinPath(r.Path...)
	u.RawQuery = r.Query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, errors.New("server makes no valid address")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "secretless")
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	if c.access.token.Len() > 0 {
		req.Header.Set("Authorization", "Bearer "+c.access.token.Borrow())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, ConnectError(ctx, err)
	}
	return resp, nil
}
