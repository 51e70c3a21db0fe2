package readahead

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func numbered(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i * 7)
	}
	return out
}

func TestPiecesOfAnySizeArriveWhole(t *testing.T) {
	data := numbered(100_000)
	for name, src := range map[string]io.Reader{
		"at once":      bytes.NewReader(data),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(data)),
		"in halves":    iotest.HalfReader(bytes.NewReader(data)),
	} {
		t.Run(name, func(t *testing.T) {
			b := New(src)
			var got []byte
			for _, n := range []int{1, 4, 4095, 4096, 4097, 20_000, 3, 60_000} {
				piece, err := b.Peek(n)
				if err != nil || len(piece) != n {
					t.Fatalf("%d bytes: got %d, %v", n, len(piece), err)
				}
				got = append(got, piece...)
				b.Take(n)
			}
			if !bytes.Equal(got, data[:len(got)]) {
				t.Error("the bytes differ")
			}
			rest, err := io.ReadAll(io.MultiReader(bytes.NewReader(b.Rest()), src))
			if err != nil || !bytes.Equal(rest, data[len(got):]) {
				t.Errorf("the rest differs: %d bytes, %v", len(rest), err)
			}
		})
	}
}

func TestPeekTakesNothing(t *testing.T) {
	b := New(bytes.NewReader(numbered(10)))
	for range 2 {
		if got, err := b.Peek(10); err != nil || !bytes.Equal(got, numbered(10)) {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if b.Buffered() != 10 || len(b.Rest()) != 10 {
		t.Errorf("%d bytes buffered", b.Buffered())
	}
}

func TestEnds(t *testing.T) {
	if _, err := New(bytes.NewReader(nil)).Peek(1); !errors.Is(err, io.EOF) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := New(bytes.NewReader([]byte{1})).Peek(2); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too little: %v", err)
	}
	if _, err := New(silent{}).Peek(1); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives neither bytes nor an error: %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// A length that is announced and never sent costs no memory.
func TestMemoryGrowsWithWhatArrives(t *testing.T) {
	b := New(bytes.NewReader(numbered(5000)))
	if _, err := b.Peek(1 << 30); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if len(b.data) > 2*8192 {
		t.Errorf("%d bytes for 5000", len(b.data))
	}
}

func TestPoolGivesBackWipedMemory(t *testing.T) {
	var p Pool
	b := p.Get(bytes.NewReader([]byte("secret")))
	if _, err := b.Peek(6); err != nil {
		t.Fatal(err)
	}
	data := b.data
	p.Put(b)
	if bytes.Contains(data, []byte("secret")) {
		t.Error("what was read is still there")
	}
	if next := p.Get(bytes.NewReader([]byte("x"))); next.Buffered() != 0 {
		t.Error("a buffer from the pool has bytes in it")
	}
}

// What was read may be secret: memory that is outgrown or given back is wiped.
func TestMemoryIsWiped(t *testing.T) {
	b := New(bytes.NewReader(numbered(3 * size)))
	small := b.data
	if _, err := b.Peek(2 * size); err != nil {
		t.Fatal(err)
	}
	grown := b.data
	b.Reset(nil)
	for name, memory := range map[string][]byte{"outgrown": small, "given back": grown} {
		if !bytes.Equal(memory, make([]byte, len(memory))) {
			t.Errorf("%s memory still holds what was read", name)
		}
	}
}
