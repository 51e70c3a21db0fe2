package mysql

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"sync"

	"secretless/internal/secret"
)

// resumption keeps the TLS sessions of one service with its target, so that
// one login in many pays for the target's signature. A session stands for the
// certificates that were shown and verified when it began, so it is used under
// the very same credentials alone. Safe for concurrent use.
type resumption struct {
	mu     sync.Mutex
	digest [sha256.Size]byte
	cache  tls.ClientSessionCache
	// refused says that the target cannot take a session up again.
	refused bool
}

// sessionsKept is for a name that stands for several targets.
const sessionsKept = 8

// resumable are the credentials that a session depends on.
func resumable() []string {
	return []string{"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslhost"}
}

func digestOf(set *secret.Set) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range resumable() {
		v, _ := set.Get(name)
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(v.Len())))
		h.Write(v.Bytes())
	}
	h.Sum(sum[:0])
	return sum
}

// of are the sessions for a login with set; nil if they are of no use.
func (r *resumption) of(set *secret.Set) *sessions {
	digest := digestOf(set)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cache == nil || r.digest != digest {
		r.digest, r.cache, r.refused = digest, tls.NewLRUClientSessionCache(sessionsKept), false
	}
	if r.refused {
		return nil
	}
	return &sessions{ClientSessionCache: r.cache, owner: r}
}

// sessions are the session cache of one handshake.
type sessions struct {
	tls.ClientSessionCache
	owner *resumption
	// offered says that a session was there to be taken up.
	offered bool
}

// Get is that of the cache.
func (s *sessions) Get(key string) (*tls.ClientSessionState, bool) {
	state, ok := s.ClientSessionCache.Get(key)
	s.offered = s.offered || ok && state != nil
	return state, ok
}

// failed says whether a handshake that failed is worth another try without a
// session: some servers end it instead of starting anew. They are asked once.
func (s *sessions) failed() bool {
	if s == nil || !s.offered {
		return false
	}
	s.owner.mu.Lock()
	defer s.owner.mu.Unlock()
	if s.owner.cache == s.ClientSessionCache {
		s.owner.refused = true
	}
	return true
}
