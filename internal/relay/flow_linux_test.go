package relay

import (
	"testing"
	"unsafe"
)

// A destination that is often full is served by copying, one that is full now
// and then goes on being spliced to.
func TestSplicingYieldsToASlowDestination(t *testing.T) {
	for name, c := range map[string]struct {
		every int // one splice in so many finds the destination full
		stops bool
	}{
		"always":              {1, true},
		"every second":        {2, true},
		"every third":         {3, true},
		"every tenth, as raw": {10, false},
		"every hundredth":     {100, false},
	} {
		t.Run(name, func(t *testing.T) {
			var p pair
			p.flows[Client].full = bulkAfter
			stopped := false
			for i := range 1000 {
				if i%c.every == 0 {
					p.strained(Client)
				}
				stopped = stopped || p.flows[Client].full < 0
				p.eased(Client)
			}
			if stopped != c.stops {
				t.Errorf("went back to copying: %v, want %v", stopped, c.stops)
			}
			if p.strain[Target] != 0 || p.flows[Target].full != 0 {
				t.Error("the other direction is touched")
			}
		})
	}
}

// Idle connections are many: what one costs must not grow unnoticed.
func TestPairIsSmall(t *testing.T) {
	const most = 216
	if size := unsafe.Sizeof(pair{}); size > most {
		t.Errorf("a pair takes %d bytes, more than %d", size, most)
	}
}

// A stream is many pieces in a row that are neither small nor fill a buffer.
func TestStreams(t *testing.T) {
	const piece, small, whole = 8 << 10, streamPiece - 1, bufferSize
	for name, c := range map[string]struct {
		last   int  // the size of a read after all but one of a stream's
		answer bool // the other side speaks before it
		stream bool
	}{
		"pieces":        {last: piece, stream: true},
		"a small one":   {last: small},
		"a full buffer": {last: whole},
		"an answer":     {last: piece, answer: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pair{}
			for range streamAfter - 1 {
				p.streams(Target, piece)
			}
			if p.stream[Target] >= streamAfter {
				t.Fatal("too early")
			}
			if c.answer {
				p.streams(Client, small)
			}
			p.streams(Target, c.last)
			if got := p.stream[Target] >= streamAfter; got != c.stream {
				t.Errorf("stream %t, want %t", got, c.stream)
			}
			for range 1000 { // the count is bounded
				p.streams(Target, piece)
			}
			if p.stream[Target] != streamAfter || p.stream[Client] != 0 {
				t.Errorf("counts %v", p.stream)
			}
		})
	}
}
