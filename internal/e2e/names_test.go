//go:build linux

package e2e

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a name server for one test, which the broker asks instead of the
// machine's: what a name means is for the test to say, and to change.
type names struct {
	mu    sync.Mutex
	known map[string][]netip.Addr
	other netip.Addr // of every name that is not known
	asked map[string]int
}

// serveNames makes the process look names up in what it returns.
func serveNames(t *testing.T, other string) *names {
	t.Helper()
	n := &names{known: map[string][]netip.Addr{}, other: netip.MustParseAddr(other), asked: map[string]int{}}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.serve(conn)
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = conn.Close()
		<-ended
	})
	return n
}

// set says what a name means. Several addresses are answers in turn, the last
// one for ever.
func (n *names) set(name string, answers ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[name], n.asked[name] = nil, 0
	for _, a := range answers {
		n.known[name] = append(n.known[name], netip.MustParseAddr(a))
	}
}

func (n *names) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply, ok := n.answer(buf[:size]); ok {
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

func (n *names) answer(query []byte) ([]byte, bool) {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil, false
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET}
	switch addr := n.lookup(strings.TrimSuffix(strings.ToLower(q.Name.String()), "."), q.Type); {
	case q.Type == dnsmessage.TypeA && addr.Is4():
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && addr.Is6():
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
	}
	reply, err := m.Pack()
	return reply, err == nil
}

// lookup moves on to the next answer with the questions about IPv4, of which
// there is one in each lookup.
func (n *names) lookup(name string, kind dnsmessage.Type) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	all, ok := n.known[name]
	if !ok {
		return n.other
	}
	addr := all[min(n.asked[name], len(all)-1)]
	if kind == dnsmessage.TypeA {
		n.asked[name]++
	}
	return addr
}
