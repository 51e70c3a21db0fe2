package relay

import (
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

var mixes = [][2]string{
	{"tcp", "tcp"},
	{"tcp", "unix"},
	{"unix", "tcp"},
	{"unix", "unix"},
	{"tls", "tcp"},
	{"tcp", "tls"},
	{"tls", "tls"},
	{"unix", "tls"},
}

func eachMix(t *testing.T, f func(t *testing.T, r Relay, client, target string)) {
	eachEngine(t, func(t *testing.T, r Relay) {
		for _, m := range mixes {
			t.Run(m[0]+"-"+m[1], func(t *testing.T) { f(t, r, m[0], m[1]) })
		}
	})
}

// pour writes n pseudo-random bytes in pieces of changing size, with the odd
// pause, then half-closes; it returns their digest.
func pour(t *testing.T, c net.Conn, seed uint64, n int64) [sha256.Size]byte {
	rnd, sum := rand.NewChaCha8([32]byte{0: byte(seed)}), sha256.New()
	sizes := rand.New(rand.NewPCG(seed, uint64(n)))
	buf := make([]byte, 1<<20)
	for n > 0 {
		size := sizes.IntN(len(buf)) + 1
		if sizes.IntN(3) == 0 {
			size = sizes.IntN(300) + 1 // small ones between large ones
		}
		b := buf[:min(int64(size), n)]
		rnd.Read(b)
		sum.Write(b)
		if _, err := c.Write(b); err != nil {
			t.Errorf("write: %v", err)
			break
		}
		n -= int64(len(b))
		if sizes.IntN(50) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	closeWrite(t, c)
	return [sha256.Size]byte(sum.Sum(nil))
}

func drain(t *testing.T, c net.Conn) (n int64, digest [sha256.Size]byte) {
	var sum hash.Hash = sha256.New()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{c}, make([]byte, 200<<10))
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return n, [sha256.Size]byte(sum.Sum(nil))
}

// stream sends both ways at once and checks every byte.
func stream(t *testing.T, c *relayed, toTarget, toClient int64) {
	t.Helper()
	var sent, got [2][sha256.Size]byte
	var wg sync.WaitGroup
	wg.Go(func() { sent[0] = pour(t, c.client, 1, toTarget) })
	wg.Go(func() { sent[1] = pour(t, c.target, 2, toClient) })
	wg.Go(func() { _, got[0] = drain(t, c.target) })
	wg.Go(func() { _, got[1] = drain(t, c.client) })
	wg.Wait()
	if sent != got {
		t.Error("bytes differ from those sent")
	}
	if r := c.end(t); r.Err != nil || r.ToTarget != toTarget || r.ToClient != toClient {
		t.Errorf("result %+v; want %d, %d and no error", r, toTarget, toClient)
	}
}

func TestStreamsBothWays(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		stream(t, join(t, r, client, target, nil), 9<<20+17, 5<<20+3)
	})
}

func TestBulk(t *testing.T) {
	size := int64(220 << 20)
	if testing.Short() {
		size >>= 3
	}
	for _, m := range mixes[:4] {
		t.Run(m[0]+"-"+m[1], func(t *testing.T) {
			r := newDefault(t)
			defer r.Close()
			stream(t, join(t, r, m[0], m[1], nil), size, 1<<20)
		})
	}
}

// A flow must change between copying and splicing without losing its place.
func TestBulkBetweenSmallMessages(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		c := join(t, r, client, target, nil)
		big := make([]byte, 3<<20)
		rand.NewChaCha8([32]byte{}).Read(big)
		for range 5 {
			for range 50 {
				write(t, c.client, "ping")
				expect(t, c.target, "ping")
				write(t, c.target, "pong!")
				expect(t, c.client, "pong!")
			}
			var wg sync.WaitGroup
			wg.Go(func() { write(t, c.client, string(big)) })
			expect(t, c.target, string(big))
			wg.Wait()
		}
		c.client.Close()
		c.target.Close()
		c.end(t)
	})
}

func TestManyPairsAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, r Relay) {
		var wg sync.WaitGroup
		for i := range 60 {
			m := mixes[i%len(mixes)]
			c := join(t, r, m[0], m[1], nil)
			wg.Go(func() { stream(t, c, 700_001, 300_007) })
		}
		wg.Wait()
	})
}

func TestReadAheadComesFirst(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		large := make([]byte, 4<<20) // more than the sockets hold: it blocks
		rand.NewChaCha8([32]byte{}).Read(large)
		c := join(t, r, client, target, func(p *Pair) {
			p.FromClient = large
			p.FromTarget = []byte("ready")
		})
		write(t, c.client, "later")
		closeWrite(t, c.client)
		expect(t, c.client, "ready")
		expect(t, c.target, string(large)+"later")
		expectEnd(t, c.target)
		closeWrite(t, c.target)
		if r := c.end(t); r.Err != nil || r.ToTarget != int64(len(large))+5 || r.ToClient != 5 {
			t.Errorf("result %+v", r)
		}
	})
}

// What arrived with the end of file before the pair began must come through.
func TestEndedBeforeStart(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		c := &relayed{result: make(chan Result, 1)}
		p := Pair{Owner: ownerFunc(func(r Result) { c.result <- r })}
		c.client, p.Client = connect(t, client)
		c.target, p.Target = connect(t, target)
		write(t, c.client, "goodbye")
		closeWrite(t, c.client)
		closeWrite(t, c.target)
		r.Start(p)
		expect(t, c.target, "goodbye")
		expectEnd(t, c.target)
		expectEnd(t, c.client)
		if r := c.end(t); r.Err != nil || r.ToTarget != 7 {
			t.Errorf("result %+v", r)
		}
	})
}

func TestHalfClose(t *testing.T) {
	eachMix(t, func(t *testing.T, r Relay, client, target string) {
		for _, first := range []Side{Client, Target} {
			c := join(t, r, client, target, nil)
			a, b := c.client, c.target
			if first == Target {
				a, b = b, a
			}
			write(t, a, "last words")
			closeWrite(t, a)
			expect(t, b, "last words")
			expectEnd(t, b)
			for range 3 {
				write(t, b, "still here")
				expect(t, a, "still here")
			}
			c.running(t)
			closeWrite(t, b)
			expectEnd(t, a)
			if r := c.end(t); r.Err != nil {
				t.Errorf("%v first: %v", first, r.Err)
			}
		}
	})
}
