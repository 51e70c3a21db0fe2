package broker

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"secretless/internal/connector"
	"secretless/internal/relay"
)

// descriptors lists what the process has open.
func descriptors(t *testing.T) []string {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, fd := range all {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			out = append(out, to)
		}
	}
	return out
}

// Nothing is left after Shutdown, whatever the connections were doing.
func TestNothingIsLeft(t *testing.T) {
	target := newTarget(t, "one")
	round := func() {
		r, err := relay.New(relay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := &fixture{Broker: New(Options{Relay: r})}
		path := t.TempDir() + "/s"
		b.mustApply(t, with(service("svc", &relayTo{target: target.ln.Addr().String()}), func(s *Service) {
			s.Listen = []Address{{"unix", path}, {"tcp", "localhost:0"}}
			s.Drain = time.Millisecond
		}))
		var clients []*client
		for range 10 {
			c := dial(t, "unix", path) // relayed
			c.say("a")
			c.expect("one")
			clients = append(clients, c, dial(t, "unix", path)) // and in the handshake
		}
		b.mustApply(t, service("other", hello))
		if err := b.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			_ = c.Close()
		}
		eventually(t, "the target has no connection", func() bool { return target.open() == 0 })
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is still there")
		}
	}
	round()
	before := descriptors(t)
	for range 3 {
		round()
	}
	after := descriptors(t)
	if len(after) > len(before) {
		left := slices.DeleteFunc(after, func(fd string) bool { return slices.Contains(before, fd) })
		t.Errorf("%d descriptors more than before: %v", len(after)-len(before), left)
	}
}

// A connector that heeds neither its context nor its deadline loses its
// connection; one that does not even heed that is named.
func TestConnectorThatDoesNotEnd(t *testing.T) {
	b := newBroker(t)
	release := make(chan struct{})
	b.mustApply(t,
		service("deaf", connectorFunc(func(_ context.Context, s *connector.Session) error {
			for {
				_ = s.Client.SetReadDeadline(time.Time{})
				if _, err := s.Client.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					return err
				}
			}
		})),
		service("dead", connectorFunc(func(context.Context, *connector.Session) error {
			<-release
			return nil
		})),
	)
	_, _ = dial(t, "tcp", b.address(t, "deaf")), dial(t, "tcp", b.address(t, "dead"))
	eventually(t, "both are connected", func() bool { return b.status("deaf").Active+b.status("dead").Active == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := b.Shutdown(ctx)
	if err == nil || !strings.Contains(err.Error(), `"dead" has 1`) || strings.Contains(err.Error(), "deaf") {
		t.Errorf("err = %v", err)
	}
	close(release)
}
