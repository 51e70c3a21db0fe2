package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/audit"
	"secretless/internal/peer"
	"secretless/internal/relay"
	"secretless/internal/stage"
)

// Options are what a Broker works with.
type Options struct {
	// Log hears of everything but single successful connections, which are
	// logged at debug level.
	Log *slog.Logger
	// Relay moves the bytes of established pairs. The broker stops its own
	// pairs; whoever made the relay closes it, after Shutdown.
	Relay relay.Relay
	// Audit takes an event for every connection; nil means none. Closed by
	// whoever opened it, after Shutdown.
	Audit audit.Sink
	// Identify has Connections tell who is behind each as far as it costs the
	// connection nothing; with an audit there is more.
	Identify bool
	// Tracer makes the spans of connections and requests; nil means none.
	Tracer stage.Tracer
	// Getenv looks up LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES for socket
	// activation; nil means os.Getenv.
	Getenv func(string) string
	// MaxHandshakes bounds how many connections of all services together may
	// be in their handshake, so that a flood bounds its own memory: more are
	// closed at once. Zero means 4096. Relayed connections do not count.
	MaxHandshakes int
}

const (
	defaultMaxHandshakes = 4096
	maxRefusals          = 64              // at a time
	refuseTimeout        = 5 * time.Second // for one of them
)

// Broker runs a set of services. Safe for concurrent use.
type Broker struct {
	log      *slog.Logger
	relay    relay.Relay
	audit    audit.Sink
	audited  bool // there is an audit
	tracer   stage.Tracer
	identify bool // also where no service asks
	systemd  *activation
	watcher  *watcher // nil where the platform has none

	maxHandshakes int64
	handshakes    atomic.Int64
	refusals      chan struct{}
	lastID        atomic.Uint64

	check func(*peer.Policy, net.Conn) (peer.Identity, error)

	apply sync.Mutex     // one Apply or Shutdown at a time
	tasks sync.WaitGroup // accept loops and drains
	cut   chan struct{}  // closed when Shutdown runs out of patience
	// stopping is closed when Shutdown begins, atOnce from the start: when the
	// time begins that a service has to drain.
	stopping, atOnce chan struct{}
	live             sync.Mutex // one Live at a time

	mu        sync.Mutex // guards what follows; held only to read or change it
	state     state
	endpoints map[string]*endpoint // by key
	services  map[string]*generation
	draining  map[*generation]struct{}
	drained   map[string]*generation // by Drain, until the next Apply
}

type state int

const (
	starting state = iota
	serving
	stopped
)

// ErrStopped is what Apply answers after Shutdown.
var ErrStopped = errors.New("the broker has been shut down")

// New makes a broker that runs nothing yet.
func New(o Options) *Broker {
	b := &Broker{
		log: o.Log, relay: o.Relay, audit: o.Audit, tracer: o.Tracer, maxHandshakes: int64(o.MaxHandshakes),
		refusals: make(chan struct{}, maxRefusals), cut: make(chan struct{}),
		stopping: make(chan struct{}), atOnce: make(chan struct{}),
		endpoints: map[string]*endpoint{}, services: map[string]*generation{}, draining: map[*generation]struct{}{},
		drained: map[string]*generation{},
		check:   func(p *peer.Policy, c net.Conn) (peer.Identity, error) { return p.Check(c) },
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.audit == nil {
		b.audit = audit.Nop{}
	}
	if b.tracer == nil {
		b.tracer = stage.NoTracer{}
	}
	_, nop := b.audit.(audit.Nop)
	b.audited = !nop
	b.identify = b.audited || o.Identify
	close(b.atOnce)
	if b.maxHandshakes <= 0 {
		b.maxHandshakes = defaultMaxHandshakes
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	b.systemd = &activation{getenv: o.Getenv, pid: os.Getpid(), first: firstInherited}
	return b
}

// Ready reports whether a set of services has been applied, every listener is
// up, none was drained and the broker is not shutting down. It stays true
// through Apply.
func (b *Broker) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.endpoints {
		if e.broken.Load() {
			return false
		}
	}
	return b.state == serving && len(b.drained) == 0
}

// Shutdown stops accepting, lets the connections of every service live on for
// its Drain, or until ctx ends, and returns when all goroutines, connections
// and socket files are gone. The error says what did not go: a connector that
// heeds neither its context nor the end of its connection. Shutdown may be
// called more than once; Apply fails from now on.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.apply.Lock()
	defer b.apply.Unlock()
	b.mu.Lock()
	if b.state == stopped {
		b.mu.Unlock()
		return nil
	}
	b.state = stopped
	endpoints, services := b.endpoints, b.services
	b.endpoints, b.services = map[string]*endpoint{}, map[string]*generation{}
	b.mu.Unlock()

	for _, e := range endpoints {
		e.retire()
	}
	b.systemd.close()
	close(b.stopping)
	for _, g := range services {
		b.drain(g, b.atOnce)
	}
	return b.wait(ctx)
}

func (b *Broker) wait(ctx context.Context) error {
	gone := make(chan struct{})
	go func() {
		b.tasks.Wait()
		if b.watcher != nil {
			b.watcher.close()
		}
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		close(b.cut)
	}
	select {
	case <-gone:
		return nil
	case <-time.After(2 * stopGrace):
		return fmt.Errorf("connections did not end when they were stopped: %s", b.stuck())
	}
}

// stuck names the services that still have connections.
func (b *Broker) stuck() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for g := range b.draining {
		names = append(names, fmt.Sprintf("service %q has %d", g.svc.Name, g.active()))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
