//go:build unix

package exec

import (
	"io"
	"strings"
	"testing"
)

// Output that nobody has got round to reading when the grace is over is not
// lost, whoever still holds the pipe.
func TestOutputAfterInterrupt(t *testing.T) {
	p, err := newPipes()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	const printed = "{\"a\": \"b\"}\n"
	if _, err := p.stdout.w.WriteString(printed); err != nil {
		t.Fatal(err)
	}
	p.interrupt()
	got, err := io.ReadAll(&outputReader{f: p.stdout.r})
	if err != nil || string(got) != printed {
		t.Errorf("got %q, %v", got, err)
	}
}

// Somebody who goes on writing does not hold us up.
func TestOutputAfterInterruptIsBounded(t *testing.T) {
	p, err := newPipes()
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			if _, err := p.stderr.w.WriteString(strings.Repeat("x", 4096)); err != nil {
				return
			}
		}
	}()
	p.interrupt()
	if _, dropped := readHead(&outputReader{f: p.stderr.r}, 10); dropped > maxRest {
		t.Errorf("%d bytes", dropped)
	}
	_ = p.stderr.r.Close()
	<-stopped
	p.close()
}
