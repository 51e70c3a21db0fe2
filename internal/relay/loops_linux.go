package relay

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"secretless/internal/slab"
)

// loops are the event loops of a relay.
type loops struct {
	all  []*loop
	made slab.Slab[pair]
}

// startLoops starts n loops, or none: it fails where a descriptor is lacking.
func startLoops(n int, l *ledger, rest *copiers) (*loops, error) {
	ls := &loops{}
	for range n {
		one, err := newLoop(l, rest)
		if err != nil {
			ls.close()
			return nil, fmt.Errorf("start event loop: %w", err)
		}
		ls.all = append(ls.all, one)
	}
	return ls, nil
}

func (ls *loops) close() {
	if ls == nil {
		return
	}
	for _, l := range ls.all {
		l.post(command{what: quit})
	}
	for _, l := range ls.all {
		<-l.exited
	}
}

// start gives a pair to the loop that has the fewest. It returns nil where a
// loop cannot carry it: a side is not a plain socket, or no descriptor is left
// for a duplicate. The pair is then as it was.
func (ls *loops) start(given Pair) Handle {
	if ls == nil {
		return nil
	}
	p := ls.adopt(given)
	if p == nil {
		return nil
	}
	p.loop = ls.all[0]
	for _, l := range ls.all[1:] {
		if l.count.Load() < p.loop.count.Load() {
			p.loop = l
		}
	}
	p.loop.count.Add(1)
	p.loop.post(command{what: begin, pair: p})
	return p
}

// adopt duplicates the descriptors of both sides. The originals are closed
// by the loop, once it is certain that it can watch the duplicates.
func (ls *loops) adopt(given Pair) *pair {
	p := ls.made.New()
	p.idle, p.given = idleTicks(given.IdleTimeout), &given
	conns := [2]net.Conn{given.Client, given.Target}
	for s, c := range conns {
		tcp, ok := plainStream(c)
		if !ok {
			return nil
		}
		p.sides[s].tcp = tcp
	}
	for s, c := range conns {
		fd, err := duplicate(c.(syscall.Conn))
		if err != nil {
			if s == 1 {
				unix.Close(int(p.sides[0].fd))
			}
			return nil
		}
		p.sides[s].fd = fd
	}
	p.flows[Client].rest, p.flows[Target].rest = given.FromClient, given.FromTarget
	return p
}
