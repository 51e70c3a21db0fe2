package mysql

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/connectortest"
	"secretless/internal/testenv"
	"secretless/internal/wire/mysqlwire"
)

// By default the first client is greeted as by the target, the later ones from
// memory.
func TestFirstClientIsGreetedAsByTheTarget(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	f := newFront(t, Config{}, creds(s, s.Users.Native))
	for i, fromTarget := range []bool{true, false} {
		p := newPeer(dial(t, f))
		h := parseGreeting(t, p)
		if h.ServerVersion == unknownVersion || !h.Capabilities.Has(mysqlwire.MariaDBClientCacheMetadata) || (h.ConnectionID != 0) != fromTarget {
			t.Errorf("client %d: greeted with %s, %q, connection %d", i, h.Capabilities, h.ServerVersion, h.ConnectionID)
		}
		r := plainResponse()
		r.Capabilities &= h.Capabilities
		if err := p.send(r.packet(1)); err != nil {
			t.Fatal(err)
		}
		if payload := mustNext(t, p, 2); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
			t.Fatalf("client %d: %q", i, payload)
		}
	}
}

// Of clients that come at once one asks the target, and those that never say a
// word are no reason to ask it again.
func TestSilentClientsHaveTheTargetAskedOnce(t *testing.T) {
	var asked atomic.Int32
	fake := newFakeTarget(t, func(conn net.Conn) {
		asked.Add(1)
		_, _ = conn.Write(targetGreeting().Append(nil))
		_, _ = conn.Read(make([]byte, 1))
	})
	f := newFront(t, Config{}, fake.creds())
	var all sync.WaitGroup
	for range 20 {
		conn := dial(t, f)
		all.Go(func() {
			if h := parseGreeting(t, newPeer(conn)); h.ServerVersion != targetGreeting().ServerVersion {
				t.Errorf("greeted as %q", h.ServerVersion)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d target connections", n)
	}
}

// A target that cannot be asked is the client's error, in answer to its login:
// in place of the greeting an error has no SQLSTATE. The next client has the
// target asked again.
func TestUnknownTargetThatIsDown(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1", "port": "1", "username": "a"})
	for range 2 {
		payload := talk(t, f, plainResponse().packet(1))
		if e, err := mysqlwire.ParseERR(payload); err != nil || e.Number != 1105 || e.State != "08S01" {
			t.Errorf("got %q, %v", payload, err)
		}
	}
	if n := f.Credentials.Lookups(); n != 2 {
		t.Errorf("%d lookups", n)
	}
}

// A probe leaves while it is waited for, and costs nothing.
func TestProbeOfAnUnknownTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConnector(Config{Greeting: greetAuto})
		credentials := &connectortest.Answers{Err: errors.New("asked")}
		client, broker := net.Pipe()
		defer client.Close()
		defer broker.Close()
		ctx, leave := context.WithTimeout(t.Context(), probeTime/2)
		defer leave()
		s := &connector.Session{Client: broker, Credentials: credentials, Log: slog.New(slog.DiscardHandler)}
		if err := c.ServeConn(ctx, s); err != nil || credentials.Lookups() != 0 {
			t.Errorf("%v, %d lookups", err, credentials.Lookups())
		}
		// Nobody is left waiting for it.
		ask, answered := c.learned.enquire(t.Context())
		if !ask {
			t.Error("the next client is not to ask")
		}
		answered()
	})
}

func TestWhoWaitsForAnAnswerGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			then func(l *learned, answered func())
			took time.Duration
		}{
			"known":       {func(l *learned, _ func()) { l.meet(targetGreeting()) }, time.Second},
			"no answer":   {func(_ *learned, answered func()) { answered() }, time.Second},
			"out of time": {func(*learned, func()) {}, 5 * time.Second},
		} {
			l := &learned{}
			ask, answered := l.enquire(t.Context())
			if !ask {
				t.Fatal("the first is not to ask")
			}
			time.AfterFunc(time.Second, func() { c.then(l, answered) })
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			began := time.Now()
			if ask, _ := l.enquire(ctx); ask || time.Since(began) != c.took {
				t.Errorf("%s: asks: %v, after %s", name, ask, time.Since(began))
			}
			cancel()
			answered()
		}
	})
}
