package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

var errCause = errors.New("the cause")

func TestStop(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		c := join(t, r, client, target, nil)
		write(t, c.client, "hello")
		expect(t, c.target, "hello")
		c.handle.Stop(errCause)
		c.handle.Stop(errors.New("too late"))
		if r := c.end(t); r.Err != errCause || r.ToTarget != 5 {
			t.Errorf("result %+v", r)
		}
		for _, far := range []net.Conn{c.client, c.target} {
			far.SetReadDeadline(time.Now().Add(patience))
			if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read after stop: %v", err)
			}
		}
		c.handle.Stop(errCause)
	})
}

// A stop must not wait for peers that read nothing.
func TestStopWhileBlocked(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		c := join(t, r, client, target, nil)
		var wg sync.WaitGroup
		for _, far := range []net.Conn{c.client, c.target} {
			wg.Go(func() { fill(far) })
		}
		time.Sleep(50 * time.Millisecond)
		c.handle.Stop(errCause)
		if r := c.end(t); r.Err != errCause {
			t.Errorf("result %+v", r)
		}
		c.client.Close()
		c.target.Close()
		wg.Wait()
	})
}

// fill writes until it fails, and returns how much it wrote.
func fill(c net.Conn) (total int64) {
	b := make([]byte, 64<<10)
	for {
		n, err := c.Write(b)
		total += int64(n)
		if err != nil {
			return total
		}
	}
}

// A reader that stops reading must stop the writer too, soon and for long.
func TestBackPressure(t *testing.T) {
	const limit = 64 << 20 // sockets' buffers can grow to some MiB each
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		c := join(t, r, client, target, nil)
		c.client.SetWriteDeadline(time.Now().Add(150 * time.Millisecond))
		written := fill(c.client)
		if written > limit {
			t.Errorf("%d bytes were taken while nothing was read", written)
		}
		if client == "tls" { // a deadline spoils its stream
			return
		}
		c.client.SetWriteDeadline(time.Time{})
		closeWrite(t, c.client)
		closeWrite(t, c.target)
		c.target.SetReadDeadline(time.Now().Add(patience))
		got, err := io.Copy(io.Discard, struct{ io.Reader }{c.target})
		if err != nil || got != written {
			t.Errorf("read %d bytes, %v; want %d", got, err, written)
		}
		if r := c.end(t); r.Err != nil || r.ToTarget != written {
			t.Errorf("result %+v", r)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		limit := func(d time.Duration) func(*Pair) { return func(p *Pair) { p.IdleTimeout = d } }
		var idle, busy []*relayed
		for _, m := range mixes {
			half := join(t, r, m[0], m[1], limit(time.Second))
			closeWrite(t, half.client)
			idle = append(idle, half, join(t, r, m[0], m[1], limit(1200*time.Millisecond)))
			busy = append(busy, join(t, r, m[0], m[1], limit(time.Minute)))
		}
		for i, c := range idle {
			if r := c.end(t); r.Err != ErrIdle {
				t.Errorf("%v: %+v", mixes[i/2], r)
			}
		}
		for _, c := range busy {
			c.running(t)
			write(t, c.client, "x")
			expect(t, c.target, "x")
			c.handle.Stop(errCause)
			c.end(t)
		}
	})
}

// Traffic in one direction only keeps a pair alive.
func TestTrafficDefersIdleTimeout(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		c := join(t, r, "tcp", "unix", func(p *Pair) { p.IdleTimeout = 2 * time.Second })
		for range 12 {
			time.Sleep(300 * time.Millisecond)
			write(t, c.target, "x")
			expect(t, c.client, "x")
		}
		c.running(t)
		c.handle.Stop(errCause)
		c.end(t)
	})
}

func TestResetReachesOtherSide(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		for _, side := range []Side{Client, Target} {
			c := join(t, r, "tcp", "tcp", nil)
			from, to := c.client, c.target
			if side == Target {
				from, to = to, from
			}
			write(t, from, "before")
			expect(t, to, "before")
			reset(t, from)
			to.SetReadDeadline(time.Now().Add(patience))
			if _, err := to.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("other side of %v read %v; want a reset", side, err)
			}
			wantSocketError(t, c.end(t), side, syscall.ECONNRESET)
		}
	})
}

func reset(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func wantSocketError(t *testing.T, r Result, side Side, errno syscall.Errno) {
	t.Helper()
	var s *SocketError
	if !errors.As(r.Err, &s) || s.Side != side || !errors.Is(r.Err, errno) {
		t.Errorf("error %v; want %v on the %v's side", r.Err, errno, side)
	}
}

// A client that goes away while the target sends must end the pair, and the
// goodbye that it sent before must still arrive.
func TestCloseWhileOtherSideSends(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		c := join(t, r, client, target, nil)
		var wg sync.WaitGroup
		wg.Go(func() { fill(c.target) })
		c.client.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c.client, make([]byte, 100_000)); err != nil {
			t.Error(err)
		}
		write(t, c.client, "goodbye")
		c.client.Close()
		expect(t, c.target, "goodbye")
		if r := c.end(t); r.Err == nil {
			t.Error("no error, though bytes were lost")
		}
		c.target.Close()
		wg.Wait()
	})
}

// A connection that breaks in the middle of a record was cut short.
func TestTruncatedTLSIsAnError(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	c := join(t, r, "tls", "tcp", nil)
	write(t, c.client, "half a")
	expect(t, c.target, "half a")
	if _, err := transport(c.client).Write([]byte{23, 3, 3, 0, 50, 1, 2}); err != nil {
		t.Fatal(err)
	}
	transport(c.client).Close()
	if r := c.end(t); !errors.Is(r.Err, io.ErrUnexpectedEOF) {
		t.Errorf("result %+v", r)
	}
}

func TestConnWithoutHalfClose(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	client, near := net.Pipe()
	target, far := connect(t, "tcp")
	result := make(chan Result, 1)
	r.Start(Pair{Client: near, Target: far, Owner: ownerFunc(func(r Result) { result <- r })})
	write(t, client, "hello")
	expect(t, target, "hello")
	closeWrite(t, target)
	client.SetReadDeadline(time.Now().Add(patience))
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v", err)
	}
	if r := <-result; r.Err != nil || r.ToTarget != 5 {
		t.Errorf("result %+v", r)
	}
}

func TestCloseEndsHundredsOfPairs(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		var pairs []*relayed
		for i := range 200 {
			m := mixes[i%4]
			pairs = append(pairs, join(t, r, m[0], m[1], nil))
		}
		r.Close()
		for _, c := range pairs {
			select {
			case r := <-c.result:
				if r.Err != ErrStopped {
					t.Fatalf("result %+v", r)
				}
			default:
				t.Fatal("Close returned before Done was called")
			}
			if len(c.result) != 0 {
				t.Fatal("Done was called twice")
			}
		}
		late := join(t, r, "tcp", "tcp", nil)
		if r := late.end(t); r.Err != ErrStopped {
			t.Errorf("started after Close: %+v", r)
		}
		late.handle.Stop(errCause)
	})
}

// An owner that is slow to handle one ending must not hold up other pairs.
func TestSlowDone(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		release := make(chan struct{})
		slow := join(t, r, "tcp", "tcp", func(p *Pair) { p.Owner = ownerFunc(func(Result) { <-release }) })
		slow.handle.Stop(errCause)
		c := join(t, r, "tcp", "tcp", nil)
		for range 20 {
			write(t, c.client, "ping")
			expect(t, c.target, "ping")
		}
		close(release)
		c.handle.Stop(errCause)
		c.end(t)
	})
}
