package assemble

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"secretless/internal/connector"
	"secretless/internal/secret"
)

const (
	// keyAge is how long a parsed key serves before its provider is asked
	// again.
	keyAge = time.Minute
	// keyTimeout bounds a lookup where the handshake brings no context.
	keyTimeout = 10 * time.Second
)

// keySource pairs the listener's certificate with the key from a provider.
type keySource struct {
	certPEM []byte
	key     connector.Credentials
	log     *slog.Logger

	mu       sync.Mutex
	pair     *tls.Certificate // the last that worked
	until    time.Time
	renewing bool
}

// get is a tls.Config's GetCertificate. A pair that has served once goes on
// serving while a newer key cannot be had, or is there before its certificate:
// who renews both files changes one after the other, and reloads after that.
func (k *keySource) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair := k.current()
	if pair != nil {
		return pair, nil
	}
	ctx, cancel := context.WithTimeout(hello.Context(), keyTimeout)
	defer cancel()
	loaded, err := k.load(ctx)
	return k.settle(loaded, err)
}

// current is the pair to use as it is, nil for the caller who is to load one:
// while it does so, the others use the last.
func (k *keySource) current() *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pair == nil || !k.renewing && !time.Now().Before(k.until) {
		k.renewing = true
		return nil
	}
	return k.pair
}

func (k *keySource) settle(loaded *tls.Certificate, err error) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renewing = false
	switch {
	case err == nil:
		k.pair = loaded
	case k.pair == nil:
		return nil, err
	default:
		k.log.Warn("the listener goes on with its last TLS key", "error", err)
	}
	k.until = time.Now().Add(keyAge)
	return k.pair, nil
}

// load fetches the key, and once more where a cached one does not belong to
// the certificate: it may be the one from before a renewal.
func (k *keySource) load(ctx context.Context) (*tls.Certificate, error) {
	pair, again, err := k.loadOnce(ctx)
	if again {
		pair, _, err = k.loadOnce(ctx)
	}
	return pair, err
}

func (k *keySource) loadOnce(ctx context.Context) (pair *tls.Certificate, again bool, err error) {
	var set *secret.Set
	if set, err = k.key.Get(ctx); err != nil {
		return nil, false, fmt.Errorf("fetching tls.key of the listener: %w", err)
	}
	defer set.Wipe()
	pem, _ := set.Get(keyName)
	parsed, err := tls.X509KeyPair(k.certPEM, pem.Bytes())
	if err != nil {
		// The parser's error may quote what it read; the key is not repeated.
		return nil, k.key.Drop(set), errors.New("tls.key of the listener is no PEM private key that belongs to tls.cert")
	}
	return &parsed, false, nil
}
