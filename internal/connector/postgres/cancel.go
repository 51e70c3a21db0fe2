package postgres

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"sync"
	"time"
	"unique"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/slab"
	"secretless/internal/target"
)

// maxCancelKeys bounds the table of running sessions. Requests for sessions
// beyond it go to the configured host.
const maxCancelKeys = 16 << 10

// cancelTimeout bounds the forwarding of one cancel request.
const cancelTimeout = 10 * time.Second

// sessions knows which target each running session talks to: a host name may
// stand for several servers, and only one of them knows the cancel key.
type sessions struct {
	made slab.Slab[session]

	seed maphash.Seed

	mu    sync.Mutex
	count int
	last  map[uint64]*session // by hash
}

// session is what is remembered of one; its Close forgets it.
type session struct {
	table *sessions
	hash  uint64
	// Two targets may give the same key: the later one comes first.
	next, previous *session
	// plan is shared by all sessions of a target.
	plan    unique.Handle[plan]
	process uint32
	// short has the key where it fits, which is the rule, else long has it.
	short [shortCancelKey]byte
	size  int // zero when forgotten
	long  []byte
}

// shortCancelKey is the length of PostgreSQL 18's keys; earlier ones have four
// bytes.
const shortCancelKey = 32

func newSessions() *sessions {
	return &sessions{seed: maphash.MakeSeed(), last: map[uint64]*session{}}
}

// add remembers a session until what it returns is closed. It returns nil where
// there is no room, or no key.
func (t *sessions) add(key pgproto3.BackendKeyData, p plan) io.Closer {
	if len(key.SecretKey) == 0 || len(key.SecretKey) > maxCancelKey {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= maxCancelKeys {
		return nil
	}
	s := t.made.New()
	s.table, s.plan, s.process, s.size = t, unique.Make(p), key.ProcessID, len(key.SecretKey)
	if copy(s.short[:], key.SecretKey) < s.size {
		s.long = bytes.Clone(key.SecretKey)
	}
	s.hash = t.hash(key.ProcessID, key.SecretKey)
	if s.next = t.last[s.hash]; s.next != nil {
		s.next.previous = s
	}
	t.last[s.hash] = s
	t.count++
	return s
}

// hash cannot be foreseen by a target, which chooses what it is of.
func (t *sessions) hash(process uint32, key []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	maphash.WriteComparable(&h, process)
	_, _ = h.Write(key)
	return h.Sum64()
}

// Close implements io.Closer.
func (s *session) Close() error {
	t := s.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.size == 0 {
		return nil
	}
	if s.next != nil {
		s.next.previous = s.previous
	}
	switch {
	case s.previous != nil:
		s.previous.next = s.next
	case s.next != nil:
		t.last[s.hash] = s.next
	default:
		delete(t.last, s.hash)
	}
	t.count--
	*s = session{table: t}
	return nil
}

// has says whether it is the session of that key.
func (s *session) has(process uint32, key []byte) bool {
	own := s.long
	if own == nil {
		own = s.short[:s.size]
	}
	return s.process == process && subtle.ConstantTimeCompare(own, key) == 1
}

func (t *sessions) find(r *pgproto3.CancelRequest) (plan, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := t.last[t.hash(r.ProcessID, r.SecretKey)]; s != nil; s = s.next {
		if s.has(r.ProcessID, r.SecretKey) {
			return s.plan.Value(), true
		}
	}
	return plan{}, false
}

// at is p with the address that conn really has.
func (p plan) at(conn net.Conn) plan {
	p.Plan = p.At(conn)
	return p
}

// forward passes a cancel request on and waits until the target has closed the
// connection, which tells the client that the request has been worked on. The
// protocol has no answer, so failures are for the log only.
func (c *Connector) forward(ctx context.Context, s *connector.Session, o opening) error {
	// Many clients send the request and leave; it counts all the same.
	s.Established()
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	p, known := c.sessions.find(o.cancel)
	if !known {
		if !o.trusted {
			return database.Untold(connector.KindProtocol, fmt.Errorf("cancel request of no running session from a client without the certificate that the listener demands"))
		}
		var err error
		if p, err = c.configured(ctx, s); err != nil {
			return err
		}
	}
	conn, err := database.Within(ctx, s, p.open)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer target.Watch(ctx, conn)()
	message, err := o.cancel.Encode(nil)
	if err != nil {
		return err
	}
	if _, err := conn.Write(message); err != nil {
		return targetFailure(ctx, p.Address.String(), "forwarding a cancel request", err)
	}
	// The target sends nothing and closes, in order or with a reset.
	_, err = io.CopyN(io.Discard, conn, maxMessage)
	if database.IsTimeout(err) {
		return targetFailure(ctx, p.Address.String(), "forwarding a cancel request", err)
	}
	return nil
}

// configured is the target of the credentials.
func (c *Connector) configured(ctx context.Context, s *connector.Session) (plan, error) {
	set, err := s.Credentials.Get(ctx)
	if err != nil {
		return plan{}, &connector.Failure{Kind: connector.KindCredentials, Err: err}
	}
	defer set.Wipe()
	return planOf(set)
}

func planOf(set *secret.Set) (plan, error) {
	settings, err := readSettings(set)
	return settings.plan, err
}
