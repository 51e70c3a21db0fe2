package http1wire_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"secretless/internal/wire/http1wire"
)

func TestChunks(t *testing.T) {
	for text, want := range map[string]string{
		"0\r\n\r\n":             "",
		"3\r\nabc\r\n0\r\n\r\n": "abc",
		"3\r\nabc\r\n00000A\r\n0123456789\r\n0\r\n\r\n": "abc0123456789",
		"3;name=value\r\nabc\r\n0;x\r\n\r\n":            "abc",
		"3 ;x\r\nabc\r\n0 \r\n\r\n":                     "abc",
		"a\r\n\r\n0\r\n\r\n\r\nx\r\n0\r\n\r\n":          "\r\n0\r\n\r\n\r\nx",
		"1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n":       "a",
	} {
		for how, reader := range map[string]io.Reader{"whole": strings.NewReader(text + "NEXT"), "slow": iotest.OneByteReader(strings.NewReader(text + "NEXT"))} {
			in := http1wire.NewInput(reader, nil)
			var c http1wire.Chunks
			c.Reset(in)
			got, err := io.ReadAll(&c)
			rest, _ := io.ReadAll(in)
			if err != nil || string(got) != want || string(rest) != "NEXT" || !c.Ended() {
				t.Errorf("%s %q: %q %v, left %q", how, text, got, err, rest)
			}
			if wanted := strings.Contains(text, "X-Sum"); wanted != (c.Trailer().Get("X-Sum") == "1") {
				t.Errorf("%q: trailer %v", text, c.Trailer())
			}
		}
	}
}

func TestRefusedChunks(t *testing.T) {
	for _, text := range []string{
		"", "\r\n\r\n", "-1\r\n", "+1\r\na\r\n", "0x1\r\na\r\n", "1_0\r\n", " 1\r\na\r\n", "1 1\r\na\r\n", "g\r\n", "1\na\n0\n\n", "1\ra\r0\r\r",
		"1\r\nab\r\n0\r\n\r\n", "1\r\na0\r\n\r\n", "1\r\na\n0\r\n\r\n", "FFFFFFFFFFFFFFFF\r\n", "fffffffffffffffff\r\n", "1;a\nb\r\na\r\n0\r\n\r\n", "1;a\x00\r\na\r\n0\r\n\r\n",
		"1;" + strings.Repeat("x", 4<<10) + "\r\na\r\n0\r\n\r\n", strings.Repeat("0", 4<<10) + "1\r\na\r\n0\r\n\r\n", "0\r\nContent-Length: 3\r\n\r\n",
		"0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n folded: x\r\n\r\n", "0\r\nno colon\r\n\r\n", "0\r\nX: a\n\r\n\r\n", "0\r\nX: " + strings.Repeat("y", 100<<10) + "\r\n\r\n",
		"5\r\nabc", "5\r\nabcde", "5\r\nabcde\r\n", "0\r\n", "0\r\nX: y\r\n",
	} {
		in := http1wire.NewInput(strings.NewReader(text), nil)
		var c http1wire.Chunks
		c.Reset(in)
		got, err := io.ReadAll(&c)
		if err == nil || err == io.EOF || c.Ended() {
			t.Errorf("%.40q: %q %v", text, got, err)
		}
		if _, again := c.Read(make([]byte, 1)); again != err {
			t.Errorf("%.40q: %v, then %v", text, err, again)
		}
	}
}

func TestWriting(t *testing.T) {
	f := list("B: 2", "Host: x", "A: 1", "B: 3")
	b, err := http1wire.AppendFields([]byte("GET\r\n"), f, func(name string) bool { return name == "Host" })
	if err != nil || string(b) != "GET\r\nB: 2\r\nA: 1\r\nB: 3\r\n" {
		t.Errorf("%q %v", b, err)
	}
	none := func(string) bool { return false }
	for _, f := range list("A: 1\r\nB: 2", "A: 1\n", "A: \x00", "A\r\nB: 1", ": 1", "A b: 1") {
		if _, err := http1wire.AppendFields(nil, http1wire.Fields{f}, none); err != http1wire.ErrUnwritable {
			t.Errorf("%q: %v", f, err)
		}
	}
	if got := string(http1wire.AppendChunk(http1wire.AppendChunk(nil, nil), make([]byte, 16))[:4]); got != "10\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(http1wire.AppendLength(nil, 12)); got != "Content-Length: 12\r\n" {
		t.Errorf("%q", got)
	}
}

// FuzzChunks: a body that is taken apart and put together again is the same.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"), uint8(3))
	f.Add([]byte("1;x\r\na\r\n0\r\nX: y\r\n\r\nrest"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		in := http1wire.NewInput(strings.NewReader(string(text)), nil)
		var c http1wire.Chunks
		c.Reset(in)
		var out []byte
		buf := make([]byte, int(step)+1)
		for {
			n, err := c.Read(buf)
			out = http1wire.AppendChunk(out, buf[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
		}
		whole := http1wire.NewInput(strings.NewReader(string(text)), nil)
		c.Reset(whole)
		want, _ := io.ReadAll(&c)
		c.Reset(http1wire.NewInput(strings.NewReader(string(append(out, "0\r\n\r\n"...))), nil))
		got, err := io.ReadAll(&c)
		if err != nil || string(got) != string(want) {
			t.Fatalf("%q: %q %v, want %q", text, got, err, want)
		}
	})
}
