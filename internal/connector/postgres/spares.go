package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"secretless/internal/connector"
	"secretless/internal/secret"
	"secretless/internal/sockio"
)

const (
	maxSpares = 64
	// spareAge is how long a session waits for a client: what it began with
	// (the role's settings, its right to log in) grows old with it.
	spareAge = time.Minute
	// spareTime bounds the making of one.
	spareTime = 30 * time.Second
	// sparePause follows a failure: a target in trouble, or one without a
	// connection left, is not asked for more of them.
	sparePause = 5 * time.Second
)

// spares are sessions with the target that were begun for a client to come: one
// that asks for the same finds its login done. They are made when a client has
// logged in, and only then, so that nobody causes a login who could not have
// logged in himself. Safe for concurrent use.
type spares struct {
	most      int
	digestKey [sha256.Size]byte
	ctx       context.Context // of what is being made
	stop      context.CancelFunc
	tasks     sync.WaitGroup

	mu      sync.Mutex
	held    []*spare // the oldest first
	making  int
	resumes time.Time   // nothing is made before
	sweeper *time.Timer // runs while any are held
	closed  bool
}

// spareKey stands for everything that a login depends on: the startup packet
// and all credentials, of which no copy is kept. Nobody else knows its key.
type spareKey [sha256.Size]byte

// spare is one session nobody has yet.
type spare struct {
	*established
	key   spareKey
	since time.Time
}

// newSpares holds at most so many.
func newSpares(most int) *spares {
	p := &spares{most: most}
	_, _ = rand.Read(p.digestKey[:]) // never fails, see crypto/rand
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

func (p *spares) key(packet []byte, set *secret.Set) (sum spareKey) {
	mac := hmac.New(sha256.New, p.digestKey[:])
	part := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		mac.Write(size[:])
		mac.Write(b)
	}
	part(packet)
	for _, name := range set.Names() {
		value, _ := set.Get(name)
		part([]byte(name))
		part(value.Bytes())
	}
	mac.Sum(sum[:0])
	return sum
}

// take returns a session, which is the caller's from then on, or nil. One that
// the target has ended, or sent something on, is none.
func (p *spares) take(key spareKey) *established {
	for {
		s := p.next(key)
		if s == nil {
			return nil
		}
		if time.Since(s.since) < spareAge && sockio.Quiet(s.conn) {
			return s.established
		}
		s.end()
	}
}

func (p *spares) next(key spareKey) *spare {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := slices.IndexFunc(p.held, func(s *spare) bool { return s.key == key })
	if n < 0 {
		return nil
	}
	s := p.held[n]
	p.held = slices.Delete(p.held, n, n+1)
	return s
}

// fill makes in the background what is missing of key. open logs in with the
// set that it gets, which is a copy; the caller keeps its own.
func (p *spares) fill(key spareKey, set *secret.Set, log *slog.Logger, open func(context.Context, *secret.Set) (*established, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || time.Now().Before(p.resumes) {
		return
	}
	have := p.making
	for _, s := range p.held {
		if s.key == key {
			have++
		}
	}
	for ; have < p.most; have++ {
		p.making++
		own := set.Clone()
		p.tasks.Go(func() {
			defer own.Wipe()
			out, err := p.login(log, func(ctx context.Context) (*established, error) { return open(ctx, own) })
			if err != nil && p.ctx.Err() == nil {
				log.Warn("no spare connection: logging in ahead of clients failed", "error", err, "again_after", sparePause.String())
			}
			p.made(key, out, err)
		})
	}
}

// login is open with a bound, whose panic is an error.
func (p *spares) login(log *slog.Logger, open func(context.Context) (*established, error)) (out *established, err error) {
	defer func() {
		if value := recover(); value != nil {
			connector.LogPanic(log, value)
			out, err = nil, errSparePanicked
		}
	}()
	ctx, stop := context.WithTimeout(p.ctx, spareTime)
	defer stop()
	return open(ctx)
}

var errSparePanicked = errors.New("internal error in connector pg: see the broker's log for its stack")

// made takes what fill has made. Where all places are taken, the oldest gives
// way.
func (p *spares) made(key spareKey, out *established, err error) {
	var superfluous *spare
	defer func() {
		if superfluous != nil {
			superfluous.end()
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.making--
	if err != nil {
		p.resumes = time.Now().Add(sparePause)
		return
	}
	s := &spare{out, key, time.Now()}
	if p.closed || len(out.rest) > 0 {
		superfluous = s
		return
	}
	if len(p.held) >= p.most {
		superfluous = p.held[0]
		p.held = slices.Delete(p.held, 0, 1)
	}
	p.held = append(p.held, s)
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(spareAge, p.sweep)
	}
}

// sweep ends what nobody has come for in time.
func (p *spares) sweep() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.tasks.Add(1) // close waits for a sweep, too
	defer p.tasks.Done()
	var old []*spare
	p.held = slices.DeleteFunc(p.held, func(s *spare) bool {
		expired := time.Since(s.since) >= spareAge
		if expired {
			old = append(old, s)
		}
		return expired
	})
	p.sweeper = nil
	if len(p.held) > 0 {
		p.sweeper = time.AfterFunc(spareAge-time.Since(p.held[0].since), p.sweep)
	}
	p.mu.Unlock()
	for _, s := range old {
		s.end()
	}
}

// clear ends all that are held: the target does not take their credentials any
// more.
func (p *spares) clear() {
	p.mu.Lock()
	old := p.held
	p.held = nil
	p.mu.Unlock()
	for _, s := range old {
		s.end()
	}
}

// drain ends them, and makes no more.
func (p *spares) drain() {
	p.mu.Lock()
	p.closed = true
	if p.sweeper != nil {
		p.sweeper.Stop()
	}
	p.mu.Unlock()
	p.stop()
	p.clear()
}

func (p *spares) close() {
	p.drain()
	p.tasks.Wait()
}

// end closes a session as a client does that has no more queries.
func (s *spare) end() {
	terminate := [headerSize]byte{'X', 4: 4}
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.conn.Write(terminate[:]) // it may have gone before
	_ = s.conn.Close()
}
