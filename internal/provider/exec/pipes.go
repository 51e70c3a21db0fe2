package exec

import (
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

// expire ends reads and writes at the latest then.
func (p *pipes) expire(at time.Time) {
	for _, f := range []*os.File{p.stdin.w, p.stdout.r, p.stderr.r} {
		if f.SetDeadline(at) != nil { // pipes of Windows have none
			_ = f.Close()
		}
	}
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
