package relay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func engineLoops(t testing.TB, r Relay) []*loop {
	t.Helper()
	e := r.(*engine)
	if e.loops == nil {
		t.Fatal("no event loops")
	}
	return e.loops.all
}

func TestPlainPairsRunOnLoops(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	for _, m := range mixes {
		_, isPair := join(t, r, m[0], m[1], nil).handle.(*pair)
		if plain := m[0] != "tls" && m[1] != "tls"; isPair != plain {
			t.Errorf("%v: on a loop: %v", m, isPair)
		}
	}
}

// An unix peer that has closed whole can receive nothing: the pair need not
// wait for the other side, which may never say anything again.
func TestUnixHangupEndsPair(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	c := join(t, r, "unix", "tcp", nil)
	write(t, c.client, "goodbye")
	c.client.Close()
	if r := c.end(t); r.Err != nil || r.ToTarget != 7 {
		t.Errorf("result %+v", r)
	}
	expect(t, c.target, "goodbye")
	expectEnd(t, c.target)
}

// A reset that comes after the end of file is no longer found by reading.
func TestResetAfterHalfClose(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	c := join(t, r, "tcp", "tcp", nil)
	closeWrite(t, c.client)
	expectEnd(t, c.target)
	c.running(t)
	reset(t, c.client)
	var s Result
	if s = c.end(t); s.Err == nil {
		t.Fatal("no error")
	}
	wantSocketError(t, s, Client, syscall.EPIPE) // what Linux makes of it then
}

// Urgent data ends a read before the socket is drained.
func TestUrgentDataDoesNotStall(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	c := join(t, r, "tcp", "tcp", nil)
	for i := range 50 {
		write(t, c.client, "abc")
		raw, err := c.client.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Write(func(fd uintptr) bool {
			err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		write(t, c.client, fmt.Sprintf("def%02d", i))
		expect(t, c.target, fmt.Sprintf("abcdef%02d", i))
	}
}

// Without descriptors to spare, pairs must work all the same.
func TestNoDescriptorsLeft(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	prepare := func() (*relayed, Pair) {
		c := &relayed{result: make(chan Result, 1)}
		p := Pair{Owner: ownerFunc(func(r Result) { c.result <- r })}
		c.client, p.Client = connect(t, "tcp")
		c.target, p.Target = connect(t, "tcp")
		return c, p
	}
	first, firstPair := prepare()
	second, secondPair := prepare()
	first.handle = r.Start(firstPair) // on a loop, but it will find no pipe
	write(t, first.client, "up")
	expect(t, first.target, "up")

	restore := exhaust(t)
	defer restore()
	second.handle = r.Start(secondPair)
	if _, onLoop := second.handle.(*pair); onLoop {
		t.Error("pair is on a loop in spite of the limit")
	}
	none, err := New(Options{})
	if err != nil {
		t.Fatalf("new relay without descriptors: %v", err)
	}
	none.Close()
	stream(t, second, 3<<20, 100)
	stream2(t, first, 30<<20)
}

// stream2 is stream for a pair that has moved bytes before.
func stream2(t *testing.T, c *relayed, n int64) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { pour(t, c.client, 1, n); closeWrite(t, c.target) })
	if got, _ := drain(t, c.target); got != n {
		t.Errorf("read %d bytes; want %d", got, n)
	}
	wg.Wait()
	if r := c.end(t); r.Err != nil {
		t.Error(r.Err)
	}
}

// exhaust lowers the limit on descriptors to what is in use.
func exhaust(t *testing.T) (restore func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	highest := 0
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		n, _ := strconv.Atoi(e.Name())
		highest = max(highest, n)
	}
	var fillers []int
	low := unix.Rlimit{Cur: uint64(highest + 1), Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			break
		}
		fillers = append(fillers, fd)
	}
	return func() {
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
		for _, fd := range fillers {
			unix.Close(fd)
		}
	}
}

func TestSpliceIsUsedAndPipesGoAway(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	before := descriptors(t)
	c := join(t, r, "tcp", "tcp", nil)
	opened := before + 4
	soon(t, "the originals are closed", func() bool { return descriptors(t) == opened })
	var most int
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				most = max(most, descriptors(t))
			}
		}
	})
	go fill(c.client)
	c.target.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.CopyN(io.Discard, struct{ io.Reader }{c.target}, 100<<20); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	if most < opened+2 {
		t.Errorf("at most %d descriptors, %d at first: no pipe was opened", most, opened)
	}
	c.client.Close()
	c.target.Close()
	c.end(t)
	soon(t, "idle pipes are closed", func() bool { return descriptors(t) <= before })
}

// Once warm, a message allocates nothing.
func TestNoAllocationPerMessage(t *testing.T) {
	r := newDefault(t)
	defer r.Close()
	c := join(t, r, "tcp", "tcp", nil)
	b := make([]byte, 100)
	round := func() {
		for _, w := range [][2]net.Conn{{c.client, c.target}, {c.target, c.client}} {
			if _, err := w[0].Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(w[1], b); err != nil {
				t.Fatal(err)
			}
		}
	}
	round()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if n := testing.AllocsPerRun(2000, round); n >= 1 {
		t.Errorf("%v allocations per round trip", n)
	}
}

// Pairs end in every way at once, from every side, while others begin and
// take over their descriptors' numbers.
func TestEndingsRace(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(w), 7))
				for range 60 {
					m := mixes[rnd.IntN(4)]
					c := join(t, r, m[0], m[1], nil)
					var users sync.WaitGroup
					users.Go(func() { fill(c.client) })
					users.Go(func() { fill(c.target) })
					users.Go(func() { io.Copy(io.Discard, struct{ io.Reader }{c.client}) })
					users.Go(func() { io.Copy(io.Discard, struct{ io.Reader }{c.target}) })
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
					for range 1 + rnd.IntN(3) {
						switch rnd.IntN(4) {
						case 0:
							users.Go(func() { c.handle.Stop(errCause) })
						case 1:
							users.Go(func() { c.client.Close() })
						case 2:
							users.Go(func() { c.target.Close() })
						case 3:
							users.Go(func() { c.client.(interface{ CloseWrite() error }).CloseWrite() })
						}
					}
					time.Sleep(time.Millisecond)
					c.handle.Stop(errCause)
					c.end(t)
					c.client.Close()
					c.target.Close()
					users.Wait()
				}
			})
		}
		wg.Wait()
	})
}

// Close races with Start and Stop; every pair ends once all the same.
func TestCloseRace(t *testing.T) {
	for range 20 {
		r := newDefault(t)
		var pairs []*relayed
		for range 10 {
			c := &relayed{result: make(chan Result, 2)}
			pairs = append(pairs, c)
		}
		var wg sync.WaitGroup
		for _, c := range pairs {
			var p Pair
			c.client, p.Client = connect(t, "tcp")
			c.target, p.Target = connect(t, "unix")
			p.Owner = ownerFunc(func(r Result) { c.result <- r })
			wg.Go(func() { r.Start(p).Stop(errCause) })
		}
		wg.Go(func() { r.Close() })
		wg.Wait()
		for _, c := range pairs {
			if err := c.end(t).Err; err != errCause && err != ErrStopped {
				t.Fatal(err)
			}
		}
		r.Close()
		for _, l := range engineLoops(t, r) {
			if n := l.count.Load(); n != 0 {
				t.Fatalf("loop counts %d pairs after its end", n)
			}
		}
	}
}

// The figure is reported, not asserted closely: a heap has its own mind. The
// programs' ends live in this process too, so they are made without Go's net.
func TestIdleCost(t *testing.T) {
	if testing.Short() {
		t.Skip("holds 1000 pairs")
	}
	r := newDefault(t)
	defer r.Close()
	const pairs = 1000
	done := make(chan Result, pairs)
	far := make([]int, 0, 2*pairs)
	defer func() {
		for _, fd := range far {
			unix.Close(fd)
		}
	}()
	fds, memory := descriptors(t), resident(t)
	for range pairs {
		var near [2]net.Conn
		for i := range near {
			var fd int
			fd, near[i] = socketPair(t)
			far = append(far, fd)
		}
		r.Start(Pair{Client: near[0], Target: near[1], Owner: ownerFunc(func(r Result) { done <- r })})
	}
	soon(t, "the originals are closed", func() bool { return descriptors(t) == fds+4*pairs })
	one := make([]byte, 1)
	for i := 0; i < len(far); i += 2 {
		unix.Write(far[i], one)
		unix.Read(far[i+1], one)
	}
	debug.FreeOSMemory()
	each := (resident(t) - memory) / pairs
	t.Logf("%d bytes of RSS per idle pair, %d goroutines, pair of %d bytes", each, runtime.NumGoroutine(), unsafe.Sizeof(pair{}))
	if each > 16<<10 {
		t.Errorf("%d bytes of RSS per idle pair", each)
	}
}

func socketPair(t *testing.T) (int, net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], c
}

func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n * os.Getpagesize()
}
