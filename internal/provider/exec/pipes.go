package exec

import (
	"errors"
	"io"
	"os"
	"time"
)

// pipes connect us to a command.
type pipes struct{ stdin, stdout, stderr pipe }

type pipe struct{ r, w *os.File }

func newPipes() (*pipes, error) {
	p := &pipes{}
	for _, one := range []*pipe{&p.stdin, &p.stdout, &p.stderr} {
		var err error
		if one.r, one.w, err = os.Pipe(); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// closeChildEnds leaves the command alone with its ends, so that we see when
// it has closed them.
func (p *pipes) closeChildEnds() {
	for _, f := range []*os.File{p.stdin.r, p.stdout.w, p.stderr.w} {
		_ = f.Close()
	}
}

// close closes what is still open.
func (p *pipes) close() {
	for _, one := range []pipe{p.stdin, p.stdout, p.stderr} {
		if one.r != nil {
			_, _ = one.r.Close(), one.w.Close()
		}
	}
}

// interrupt ends reads and writes that wait for somebody else than the command,
// who has exited.
func (p *pipes) interrupt() {
	for _, f := range []*os.File{p.stdin.w, p.stdout.r, p.stderr.r} {
		if f.SetDeadline(time.Now()) != nil { // pipes of Windows have none
			_ = f.Close()
		}
	}
}

// maxRest bounds what is read after an interrupt: as much as a pipe can hold.
const maxRest = 1 << 20

// outputReader reads what a command prints. After an interrupt it still
// delivers what is in the pipe: on a busy machine that may be all of it.
type outputReader struct {
	f           *os.File
	interrupted bool
	rest        int
}

func (r *outputReader) Read(b []byte) (int, error) {
	if !r.interrupted {
		n, err := r.f.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		r.interrupted, r.rest = true, maxRest
	}
	b = b[:min(len(b), r.rest)]
	n := readPresent(r.f, b)
	r.rest -= n
	if n == 0 && len(b) > 0 || r.rest == 0 {
		return n, io.EOF
	}
	return n, nil
}

// readAtMost reads to the end, or until there is more than limit; what it
// outgrows it clears.
func readAtMost(r io.Reader, limit int) (b []byte, over bool) {
	b = make([]byte, 0, 4096)
	for {
		if len(b) == cap(b) {
			bigger := make([]byte, len(b), 2*cap(b))
			copy(bigger, b)
			clear(b)
			b = bigger
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b) > limit {
			clear(b)
			return nil, true
		}
		if err != nil { // the end, or nobody waits any longer
			return b, false
		}
	}
}

// readHead keeps the first bytes and counts the rest, so that the command can
// go on writing. A line that the bound would cut is not kept: half a secret
// could not be recognised any more.
func readHead(r io.Reader, limit int) (b []byte, dropped int) {
	b = make([]byte, limit)
	n, err := io.ReadFull(r, b)
	b = b[:n]
	if err != nil {
		return b, 0
	}
	rest, _ := io.Copy(io.Discard, r)
	if rest == 0 {
		return b, 0
	}
	whole := n
	for whole > 0 && b[whole-1] != '\n' {
		whole--
	}
	clear(b[whole:])
	return b[:whole], int(rest) + n - whole
}
