package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"secretless/internal/connector"
)

// checkListenerKey has the listener show its certificate to a client in
// memory, so that its key is fetched. config is nil for one without TLS.
func checkListenerKey(ctx context.Context, config *tls.Config) error {
	if config == nil {
		return nil
	}
	near, far := net.Pipe()
	defer near.Close()
	served := make(chan error, 1)
	go func() {
		defer far.Close()
		served <- tls.Server(far, config).HandshakeContext(ctx)
	}()
	shown := false
	client := tls.Client(near, &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // it is ourselves
		VerifyConnection: func(tls.ConnectionState) error {
			shown = true
			return nil
		},
	})
	_ = client.HandshakeContext(ctx) // who demands a client certificate ends it, after having shown its own
	_ = near.Close()
	failed := <-served
	if shown {
		return nil
	}
	return &connector.Failure{Kind: connector.KindCredentials, Err: fmt.Errorf("TLS for clients: %w", failed)}
}
