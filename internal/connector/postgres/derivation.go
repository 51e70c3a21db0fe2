package postgres

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"

	"secretless/internal/secret"
)

// maxFactors is how many pairs of salt and iteration count one derivation
// serves. A role has one pair; a target that sends a new one each time must
// not fill the memory.
const maxFactors = 8

// derivation is the SCRAM side of one password: the library's client, which
// remembers the keys it derived.
type derivation struct {
	store  *keyStore
	digest [sha256.Size]byte
	client *scram.Client
	// password is what client holds a string of; wiped with the last user.
	password secret.Value

	// These belong to store.mu.
	users   int
	dropped bool
	used    time.Time

	mu      sync.Mutex    // held while keys are derived
	factors []serverFirst // what keys were derived for
}

func newDerivation(s *keyStore, digest [sha256.Size]byte, password secret.Value) *derivation {
	d := &derivation{store: s, digest: digest, password: prepared(password)}
	// PostgreSQL takes the user from the startup packet; the name in SCRAM is
	// empty, as libpq's. The error is always nil.
	d.client, _ = scram.SHA256.NewClientUnprepped("", d.password.Borrow(), "")
	d.client.WithMinIterations(1) // the configured bounds are checked before
	return d
}

// prepared is a copy of password after SASLprep (RFC 4013), or as it is where
// SASLprep refuses it: what PostgreSQL does on its side. ASCII, which SASLprep
// leaves alone, stays out of strings that nobody can wipe.
func prepared(password secret.Value) secret.Value {
	raw := password.Bytes()
	if !slices.ContainsFunc(raw, func(b byte) bool { return b >= utf8.RuneSelf }) || !utf8.Valid(raw) {
		return password.Clone()
	}
	out, err := stringprep.SASLprep.Prepare(password.Borrow())
	if err != nil || out == "" {
		return password.Clone()
	}
	return secret.Copy(out)
}

// step makes the proof for the target's first message. Of many connections
// that start together one derives the keys, and the others wait for it.
func (d *derivation) step(ctx context.Context, c *scram.ClientConversation, challenge string, first serverFirst) (string, error) {
	d.mu.Lock()
	if slices.Contains(d.factors, first) {
		d.mu.Unlock()
		return c.Step(challenge)
	}
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	proof, err := c.Step(challenge)
	switch {
	case err != nil: // nothing was derived
	case len(d.factors) == maxFactors:
		d.store.forget(d) // who uses it now is its last user: the next starts afresh
	default:
		d.factors = append(d.factors, first)
	}
	return proof, err
}

// release ends one use.
func (d *derivation) release() { d.store.release(d) }

// wipeIfUnused wipes the password when nobody can need it any more. The
// library's keys go to the collector with d: it has no way to wipe them.
func (d *derivation) wipeIfUnused() {
	if d.dropped && d.users == 0 {
		d.password.Wipe()
		d.client = nil
	}
}
