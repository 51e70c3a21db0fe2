package ssh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
)

// credentialServerKey is the broker's own host key, where a provider holds it.
const credentialServerKey = "serverKey"

// keyAge is how long a parsed key serves before its provider is asked again.
const keyAge = time.Minute

// hostKey is the broker's own host key: one that Start has found, or one that
// is fetched when a client comes. Safe for concurrent use.
type hostKey struct {
	log *slog.Logger
	// fetched says that a provider has the key.
	fetched bool

	mu       sync.Mutex
	key      ssh.Signer // the last that worked; nil before
	until    time.Time
	renewing bool
}

// forClient is the key to show the client of s. One that has served goes on
// serving while its provider cannot be reached: without a key the client could
// not even be told why.
func (k *hostKey) forClient(ctx context.Context, s *connector.Session) (ssh.Signer, error) {
	if key := k.current(); key != nil {
		return key, nil
	}
	if !k.fetched {
		return nil, &connector.Failure{Kind: connector.KindInternal, Err: errors.New("the connector was not started: it has no host key")}
	}
	loaded, err := load(ctx, s)
	return k.settle(loaded, err)
}

// last is the key to use without asking anybody, nil if there is none.
func (k *hostKey) last() ssh.Signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key
}

// current is the key to use as it is, nil for the caller who is to load one:
// while it does so, the others use the last.
func (k *hostKey) current() ssh.Signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == nil || k.fetched && !k.renewing && !time.Now().Before(k.until) {
		k.renewing = true
		return nil
	}
	return k.key
}

func (k *hostKey) settle(loaded ssh.Signer, err error) (ssh.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.renewing = false
	switch {
	case err == nil:
		k.announce(loaded)
		k.key = loaded
	case k.key == nil:
		return nil, err
	default:
		k.log.Warn("clients are shown the last SSH host key", "error", err)
	}
	k.until = time.Now().Add(keyAge)
	return k.key, nil
}

// announce logs a key that has not been shown before.
func (k *hostKey) announce(loaded ssh.Signer) {
	fingerprint := sshkey.Fingerprint(loaded.PublicKey())
	if k.key == nil || sshkey.Fingerprint(k.key.PublicKey()) != fingerprint {
		k.log.Info("clients are shown this SSH host key", "fingerprint", fingerprint, "credential", credentialServerKey)
	}
}

// load fetches the key, and once more where a cached one cannot be used.
func load(ctx context.Context, s *connector.Session) (ssh.Signer, error) {
	key, again, err := loadOnce(ctx, s)
	if again {
		key, _, err = loadOnce(ctx, s)
	}
	return key, err
}

func loadOnce(ctx context.Context, s *connector.Session) (key ssh.Signer, again bool, err error) {
	set, err := s.Credentials.Get(ctx)
	if err != nil {
		return nil, false, &connector.Failure{Kind: connector.KindCredentials, Err: err}
	}
	defer set.Wipe()
	text, _ := set.Get(credentialServerKey)
	if key, err = parseServerKey(text); err != nil {
		again = s.Credentials.Drop(set)
		return nil, again, &connector.Failure{Kind: connector.KindConfig, Err: fmt.Errorf("credentials of the service: %w", err)}
	}
	return key, false, nil
}

// parseServerKey reads the text of a private key without a passphrase.
func parseServerKey(text secret.Value) (ssh.Signer, error) {
	if text.Len() == 0 {
		return nil, errors.New(credentialServerKey + " is empty; look at what its provider returns")
	}
	key, err := sshkey.Signer(text, secret.Value{}, secret.Value{})
	if err != nil {
		// The text is about privateKey, which this is not.
		return nil, errors.New(credentialServerKey + ", which has no passphrase: " + strings.TrimPrefix(err.Error(), "privateKey: "))
	}
	return key, nil
}
