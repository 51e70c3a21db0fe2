package postgres

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"secretless/internal/secret"
)

const (
	// maxPasswords bounds the store; a service has one or two at a time.
	maxPasswords = 32
	// keyAge is how long derived keys are kept unused.
	keyAge = 10 * time.Minute
)

// keyStore keeps what SCRAM derives from passwords, so that the thousands of
// hash rounds are paid once and not for each connection. It belongs to one
// service. A password is found by a digest keyed with a random key, so that
// another password misses; a rejected one is dropped, an unused one ages out,
// the least recently used one gives way.
type keyStore struct {
	digestKey [sha256.Size]byte

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*list.Element // of *derivation
	byUse   *list.List                          // most recently used first
	sweeper *time.Timer                         // runs while there are entries
	closed  bool
}

func newKeyStore() *keyStore {
	s := &keyStore{entries: map[[sha256.Size]byte]*list.Element{}, byUse: list.New()}
	_, _ = rand.Read(s.digestKey[:]) // never fails, see crypto/rand
	return s
}

func (s *keyStore) digest(password secret.Value) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, s.digestKey[:])
	mac.Write(password.Bytes())
	mac.Sum(sum[:0])
	return sum
}

// acquire returns the derivation of password; the caller releases it. The
// store keeps a copy of the password of its own.
func (s *keyStore) acquire(password secret.Value) *derivation {
	digest := s.digest(password)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[digest]; ok {
		s.byUse.MoveToFront(e)
		d := e.Value.(*derivation)
		d.users++
		d.used = time.Now()
		return d
	}
	d := newDerivation(s, digest, password)
	d.users = 1
	d.used = time.Now()
	if s.closed {
		d.dropped = true
		return d
	}
	s.entries[digest] = s.byUse.PushFront(d)
	if s.byUse.Len() > maxPasswords {
		s.remove(s.byUse.Back())
	}
	if s.sweeper == nil {
		s.sweeper = time.AfterFunc(keyAge, s.sweep)
	}
	return d
}

// drop forgets a password that the target has rejected.
func (s *keyStore) drop(password secret.Value) {
	if password.Len() == 0 {
		return
	}
	digest := s.digest(password)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[digest]; ok {
		s.remove(e)
	}
}

// forget drops d, if the store still has it.
func (s *keyStore) forget(d *derivation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[d.digest]; ok && e.Value == any(d) {
		s.remove(e)
	}
}

// release ends one use of d.
func (s *keyStore) release(d *derivation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.users--
	d.wipeIfUnused()
}

// remove takes e out; s.mu is held. Whoever still uses it goes on with it.
func (s *keyStore) remove(e *list.Element) {
	d := e.Value.(*derivation)
	delete(s.entries, d.digest)
	s.byUse.Remove(e)
	d.dropped = true
	d.wipeIfUnused()
}

// sweep drops what was not used for keyAge.
func (s *keyStore) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.byUse.Back(); e != nil; e = s.byUse.Back() {
		left := keyAge - time.Since(e.Value.(*derivation).used)
		if left > 0 {
			s.sweeper.Reset(left)
			return
		}
		s.remove(e)
	}
	s.sweeper = nil
}

// close drops everything, and keeps nothing from then on.
func (s *keyStore) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	for e := s.byUse.Back(); e != nil; e = s.byUse.Back() {
		s.remove(e)
	}
}
