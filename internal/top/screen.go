package top

import (
	"bytes"
	"fmt"
	"io"
)

// screen draws lines on a terminal. It knows the sequences that every terminal
// of the last decades has, and uses the alternate screen, so that what was
// there before comes back.
type screen struct{ out io.Writer }

const (
	// enter the alternate screen, hide the cursor, do not wrap.
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
)

var styles = map[style]string{heading: "\x1b[1m", chosen: "\x1b[7m", alarm: "\x1b[31m", question: "\x1b[1;33m"}

func (s screen) enter() error {
	_, err := io.WriteString(s.out, enterScreen)
	return err
}

func (s screen) leave() { _, _ = io.WriteString(s.out, leaveScreen) } // a terminal that is gone needs nothing

// draw replaces what is shown, in one write, so that nothing flickers.
func (s screen) draw(lines []line) error {
	var b bytes.Buffer
	for n, l := range lines {
		fmt.Fprintf(&b, "\x1b[%d;1H%s%s\x1b[K", n+1, styles[l.style], l.text)
		if l.style != plain {
			b.WriteString("\x1b[0m")
		}
	}
	b.WriteString("\x1b[J")
	_, err := s.out.Write(b.Bytes())
	return err
}
