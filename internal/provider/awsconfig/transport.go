package awsconfig

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// maxBody bounds one answer. The largest that is asked for are ten
	// parameters of 8 KiB and a secret of 64 KiB.
	maxBody     = 4 << 20
	maxHeaders  = 64 << 10
	dialTimeout = 5 * time.Second
	idleTimeout = 30 * time.Second
)

var (
	errTooLarge = errors.New("answer is larger than 4 MiB")
	errRedirect = errors.New("answer is a redirect, which is not followed")
	errEnded    = errors.New("provider is closed")
)

// connections are all that an instance has to AWS. The SDK refreshes
// credentials in goroutines that outlive the lookup which started them;
// closing their connections ends those.
type connections struct {
	dialer net.Dialer
	life   context.Context
	end    context.CancelFunc

	mu   sync.Mutex
	open map[net.Conn]struct{} // nil when closed
}

func newConnections() *connections {
	c := &connections{dialer: net.Dialer{Timeout: dialTimeout}, open: map[net.Conn]struct{}{}}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	conn, err := c.dialer.DialContext(ctx, network, address)
	switch {
	case err != nil && c.life.Err() != nil:
		return nil, errEnded
	case err != nil:
		return nil, err
	}
	owned := &ownedConn{conn, c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		_ = conn.Close()
		return nil, errEnded
	}
	c.open[owned] = struct{}{}
	return owned, nil
}

func (c *connections) close() {
	c.end()
	c.mu.Lock()
	open := c.open
	c.open = nil
	c.mu.Unlock()
	for conn := range open {
		_ = conn.Close()
	}
}

type ownedConn struct {
	net.Conn
	owner *connections
}

func (o *ownedConn) Close() error {
	o.owner.mu.Lock()
	delete(o.owner.open, o)
	o.owner.mu.Unlock()
	return o.Conn.Close()
}

// client is the SDK's own kind, since no other takes the authorities of
// AWS_CA_BUNDLE and of a profile.
func (c *connections) client() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = c.dial
		t.Proxy = proxy
		t.TLSHandshakeTimeout = dialTimeout
		t.IdleConnTimeout = idleTimeout
		t.MaxResponseHeaderBytes = maxHeaders
	})
}

// proxy is the environment's, for what is encrypted: the credentials that an
// instance's or a container's endpoint gives over HTTP are not for a proxy to
// read. It is also the one place that sees a redirected
// request before it is sent: a redirect could take a token or a signed request
// to another host.
func proxy(r *http.Request) (*url.URL, error) {
	if r.Response != nil {
		return nil, errRedirect
	}
	if r.URL.Scheme != "https" {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// bounded makes the SDK read no more than maxBody of an answer.
func bounded(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("secretless:bounded",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleDeserialize(ctx, in)
			if r, ok := out.RawResponse.(*smithyhttp.Response); ok && r.Body != nil {
				r.Body = &boundedBody{r.Body, maxBody}
			}
			return out, meta, err
		}), middleware.After)
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
