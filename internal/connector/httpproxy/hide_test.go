package httpproxy

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func hiding(text io.Reader, hidden ...string) io.Reader {
	r := &hideReader{hider: newHider(hidden), from: text}
	r.prepare()
	return r
}

// Wherever a target cuts its answer, the credential is found; and what only
// begins like one comes out in the end.
func TestCredentialAcrossReads(t *testing.T) {
	const text = `{"a":"opensesame/4711","b":"opensesame\/4711","c":"opensesame%2F4711","d":"opensesame`
	const want = `{"a":"[secret]","b":"[secret]","c":"[secret]","d":"opensesame`
	for cut := range len(text) {
		from := io.MultiReader(strings.NewReader(text[:cut]), strings.NewReader(text[cut:]))
		if got, err := io.ReadAll(hiding(from, "opensesame/4711")); err != nil || string(got) != want {
			t.Fatalf("cut at %d: %q %v", cut, got, err)
		}
	}
	if got, err := io.ReadAll(hiding(iotest.OneByteReader(strings.NewReader(text)), "opensesame/4711")); err != nil || string(got) != want {
		t.Errorf("byte by byte: %q %v", got, err)
	}
}

// A long credential costs no copies of what might be its beginning: a target
// can send as much of that as it likes.
func TestLookingForABeginningAllocatesNothing(t *testing.T) {
	r := &hideReader{hider: newHider([]string{strings.Repeat("abc/", 2000)})}
	r.prepare()
	r.in = []byte(strings.Repeat("no", 8000) + "abc/abc")
	if n := testing.AllocsPerRun(10, func() {
		if got := r.start(); got != 7 {
			t.Fatal(got)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Behind what is looked through nothing is copied any more.
func TestBehindTheLimitNothingIsCopied(t *testing.T) {
	r := hiding(bytes.NewReader(make([]byte, 4<<20)), "opensesame-4711")
	if _, err := io.CopyN(io.Discard, r, hideLimit+64<<10); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, copyBuffer)
	if n := testing.AllocsPerRun(10, func() {
		if _, err := r.Read(buf); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
