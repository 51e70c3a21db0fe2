package file

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

// A file that grows while it is read, and one of /proc, are longer than they
// say.
func TestReadAtMost(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	for _, size := range []int64{0, 10, int64(len(long)), 50_000} {
		b, err := readAtMost(iotest.OneByteReader(strings.NewReader(long)), size)
		if err != nil || string(b) != long {
			t.Errorf("size %d: got %d bytes, %v", size, len(b), err)
		}
	}
	endless := bytes.NewReader(make([]byte, 2*maxSize))
	if _, err := readAtMost(endless, 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
	if _, err := readAtMost(iotest.ErrReader(errors.ErrUnsupported), 5); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("failing reader: %v", err)
	}
}

func FuzzTrimNewline(f *testing.F) {
	for _, seed := range []string{"", "\n", "\r\n", "a\r\n\r\n", "a\n\r", "\r"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out := trimNewline(bytes.Clone(in))
		cut, ok := bytes.CutPrefix(in, out)
		if !ok {
			t.Fatalf("%q is no prefix of %q", out, in)
		}
		switch string(cut) {
		case "\n", "\r\n":
		case "":
			if bytes.HasSuffix(in, []byte("\n")) {
				t.Fatalf("newline of %q left", in)
			}
		default:
			t.Fatalf("cut %q from %q", cut, in)
		}
	})
}
