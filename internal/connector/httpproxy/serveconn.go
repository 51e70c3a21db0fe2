package httpproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/connector/httpproxy/origin"
)

// ServeConn answers requests until one of both sides has enough.
func (c *Connector) ServeConn(ctx context.Context, s *connector.Session) error {
	r := c.run(s)
	if ok, err := secure(ctx, s); !ok {
		return err
	}
	st := newStage(ctx, s.Client, s, origin.Origin{}, nil)
	stop := context.AfterFunc(ctx, st.interrupt)
	st.serve(r.server, st)
	stop()
	switch {
	case st.next != nil: // also where ctx has ended: what was opened has an owner then
		return st.next()
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return st.verdict()
}

// secure makes the client's connection a TLS connection where the listener has
// TLS. It returns false for a probe.
func secure(ctx context.Context, s *connector.Session) (bool, error) {
	if s.ClientTLS == nil {
		return true, nil
	}
	config := s.ClientTLS.Clone()
	config.NextProtos = []string{"http/1.1"}
	raw := &heard{Conn: s.Client}
	upgraded := tls.Server(raw, config)
	// Reads of the client end with the session's context.
	err := upgraded.HandshakeContext(context.Background())
	switch {
	case err == nil:
		s.Client = upgraded
		return true, nil
	case !raw.any:
		return false, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	}
	return false, database.Untold(connector.KindProtocol, fmt.Errorf("TLS with the client, which this listener demands: %w", err))
}

// heard knows whether anything was read.
type heard struct {
	net.Conn
	any bool
}

// Read notes that something came.
func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.any = h.any || n > 0
	return n, err
}

// Refuse answers 503 without looking at what is asked.
func (c *Connector) Refuse(ctx context.Context, s *connector.Session, why *connector.Failure) error {
	if ok, err := secure(ctx, s); !ok {
		return err
	}
	text := fmt.Sprintf("secretless: service %q: %s\n", s.Service, database.Clean(why.Error()))
	_, err := io.WriteString(s.Client, fmt.Sprintf(
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s", len(text), text))
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
