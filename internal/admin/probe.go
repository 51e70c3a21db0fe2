package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// ErrNotReady is a broker that answers and says that it does not serve.
var ErrNotReady = errors.New("the broker is not ready")

// Probe asks the health endpoint at address for path, which is /live or
// /ready, and returns nil if the answer is yes.
func Probe(ctx context.Context, network, address, path string) error {
	var d net.Dialer
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the broker's health endpoint at %s: %w (is it running?)", address, errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer of %s: %w", address, err)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return ErrNotReady
	case resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"`+strings.TrimPrefix(path, "/")+`":true`):
		return fmt.Errorf("%s answers %s to %s: is that the broker's health endpoint?", address, resp.Status, path)
	}
	return nil
}
