package relay

import (
	"net"

	"secretless/internal/sockio"
)

// engine routes each pair to the fastest relay that can carry it.
type engine struct {
	ledger *ledger
	// loops is nil where the platform has none, or had no descriptor left
	// for one.
	loops   *loops
	copiers *copiers
}

// New returns a relay that carries pairs of plain TCP and unix stream sockets
// on event loops where the platform has them, and every other pair (TLS in
// user space, other platforms) on two goroutines. It needs to be closed.
func New(o Options) (Relay, error) {
	o = o.withDefaults()
	e := newEngine()
	loops, err := startLoops(o.Loops, e.ledger, e.copiers)
	if err != nil {
		// Everything works without loops, only slower; a broker that is
		// short of descriptors should not die of it.
		o.Log.Warn("relay runs without event loops", "err", err)
	}
	e.loops = loops
	return e, nil
}

// newEngine returns an engine that has goroutine relays only.
func newEngine() *engine {
	ledger := newLedger()
	return &engine{ledger: ledger, copiers: newCopiers(ledger)}
}

func (e *engine) Start(p Pair) Handle {
	p.Client, p.Target = sockio.Socket(p.Client), sockio.Socket(p.Target)
	if !e.ledger.open() {
		p.Client.Close()
		p.Target.Close()
		e.ledger.settle(p.Owner, Result{Err: ErrStopped})
		return ended{}
	}
	if h := e.loops.start(p); h != nil {
		return h
	}
	return e.copiers.start(p)
}

// Close refuses new pairs first, so that none can slip in behind the loops.
func (e *engine) Close() error {
	e.ledger.close()
	// A loop may still hand a pair on to the copiers: they go last.
	e.loops.close()
	e.copiers.close()
	e.ledger.wait()
	return nil
}

// ended is the handle of a pair that never ran.
type ended struct{}

func (ended) Stop(error) {}

// plainStream tells whether c is a socket without a layer in user space above
// it. Datagram and seqpacket unix sockets have message boundaries, which a
// stream relay would lose without being told.
func plainStream(c net.Conn) (tcp, ok bool) {
	switch c := c.(type) {
	case *net.TCPConn:
		return true, true
	case *net.UnixConn:
		return false, c.LocalAddr().Network() == "unix"
	}
	return false, false
}
