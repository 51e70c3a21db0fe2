package cli

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// topAt runs a broker and top in front of it, at a terminal of 24 lines by 100
// columns.
type topAt struct {
	*terminal
	tty    *os.File
	cmd    *exec.Cmd
	before unix.Termios
	socket string // of the service
	screen played
}

func startTop(t *testing.T) *topAt {
	t.Helper()
	dir, err := os.MkdirTemp("", "top") // short: it holds unix sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	x := &topAt{socket: filepath.Join(dir, "db.sock")}
	config := filepath.Join(dir, "secretless.yml")
	text := fmt.Sprintf(`version: "2"
services:
  orders:
    connector: pg
    listenOn: unix://%s
    limits: { handshakeTimeout: 10m }
    credentials: { host: db.internal, username: x, password: { from: env, get: NOTHING } }
admin: { health: off, socket: "unix://%s/admin.sock" }
`, x.socket, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	broker := program(t, "serve", "-f", config)
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = broker.Process.Signal(syscall.SIGTERM)
		_ = broker.Process.Signal(syscall.SIGTERM)
		_ = broker.Wait()
	})
	until(t, "the broker to listen", func() bool { _, err := os.Stat(x.socket); return err == nil })

	x.terminal, x.tty = newTerminal(t)
	x.resize(24, 100)
	x.before = x.mode()
	x.cmd = program(t, "top", "-f", config, "--interval", "100ms")
	x.cmd.Env = append(x.cmd.Env, "TERM=xterm")
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = x.tty, x.tty, x.tty
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.cmd.Process.Kill() })
	return x
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (x *topAt) resize(rows, columns uint16) {
	x.t.Helper()
	if err := unix.IoctlSetWinsize(int(x.user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *topAt) mode() unix.Termios {
	x.t.Helper()
	m, err := unix.IoctlGetTermios(int(x.tty.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *m
}

// shows waits until a line of the screen matches.
func (x *topAt) shows(pattern string) {
	x.t.Helper()
	wanted := regexp.MustCompile(pattern)
	var screen []string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		screen = x.screen.play(x.text())
		for _, line := range screen {
			if wanted.MatchString(line) {
				return
			}
		}
	}
	x.t.Fatalf("no line matches %s:\n%s", pattern, strings.Join(screen, "\n"))
}

// restored checks that the terminal is as it was before, and the exit code.
func (x *topAt) restored(code int) {
	x.t.Helper()
	_ = x.cmd.Wait()
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.t.Errorf("exit code %d, want %d", got, code)
	}
	if x.mode() != x.before {
		x.t.Errorf("the terminal's mode is another than before")
	}
	until(x.t, "the screen from before", func() bool {
		text := x.text()
		return strings.LastIndex(text, "\x1b[?1049l") > strings.LastIndex(text, "\x1b[?1049h") &&
			strings.LastIndex(text, "\x1b[?25h") > strings.LastIndex(text, "\x1b[?25l")
	})
}

// played is the screen after what a program has written to a terminal: the
// sequences that top uses, and no others. It goes on where it was, so that a
// test that looks often does not play everything each time.
type played struct {
	rest        string // the beginning of what has not come as a whole
	length      int    // of what was played, with rest
	rows        [][]rune
	row, column int
}

var (
	sequence   = regexp.MustCompile(`^\x1b\[\??([0-9;]*)([A-Za-z])`)
	unfinished = regexp.MustCompile(`^\x1b(\[[?0-9;]*)?$`)
)

// play takes all that was written so far, and returns the screen's lines.
func (p *played) play(all string) []string {
	text := p.rest + all[p.length:]
	p.length = len(all)
	for text != "" && !unfinished.MatchString(text) && utf8.FullRuneInString(text) {
		if text[0] == '\x1b' {
			if m := sequence.FindStringSubmatch(text); m != nil {
				text = text[len(m[0]):]
				p.obey(m[2], m[1])
				continue
			}
		}
		r, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		p.put(r)
	}
	p.rest = text
	out := make([]string, len(p.rows))
	for n, r := range p.rows {
		out[n] = strings.TrimRight(string(r), " ")
	}
	return out
}

func (p *played) obey(command, parameters string) {
	switch first, second, _ := strings.Cut(parameters, ";"); command {
	case "H":
		p.row, _ = strconv.Atoi(first)
		p.column, _ = strconv.Atoi(second)
		p.row, p.column = p.row-1, p.column-1
	case "K":
		if p.row < len(p.rows) && p.column < len(p.rows[p.row]) {
			p.rows[p.row] = p.rows[p.row][:p.column]
		}
	case "J":
		if first == "2" {
			p.rows = nil
		} else if p.row+1 < len(p.rows) {
			p.rows = p.rows[:p.row+1]
		}
	}
}

func (p *played) put(r rune) {
	for len(p.rows) <= p.row {
		p.rows = append(p.rows, nil)
	}
	for len(p.rows[p.row]) <= p.column {
		p.rows[p.row] = append(p.rows[p.row], ' ')
	}
	p.rows[p.row][p.column] = r
	p.column++
}

// However what is written is cut into pieces, the screen is the same.
func TestPlayed(t *testing.T) {
	const all = "\x1b[?1049h\x1b[2J\x1b[1;1Hasking …\x1b[K\x1b[2;1Hold\x1b[3;1Hgone\x1b[2;1H\x1b[1mñ\x1b[K\x1b[0m\x1b[J"
	var p played
	for n := range len(all) + 1 {
		got := p.play(all[:n])
		if n == len(all) && !slices.Equal(got, []string{"asking …", "ñ"}) {
			t.Errorf("got %q", got)
		}
	}
}

// top at a terminal: what it shows, how it closes a connection, follows the
// size of the terminal, and leaves.
func TestTopAtATerminal(t *testing.T) {
	x := startTop(t)
	x.shows(`^SERVICE +CONNECTOR +STATE +OPEN`)
	x.shows(`^orders +pg +running +0 `)
	x.shows(`^env +ok +0 `)
	x.shows(`^q quit `)

	c, err := net.Dial("unix", x.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	x.shows(`^orders +pg +running +1 +1 `)
	x.shows(`^CONNECTIONS by rate: 1$`)
	// Which program it is, a hardened broker may not see.
	x.shows(fmt.Sprintf(`^ +1  orders +handshake +(\S+\[%d\]|pid %[1]d) `, os.Getpid()))
	if m := x.mode(); m.Lflag&unix.ICANON != 0 || m.Lflag&unix.ECHO != 0 {
		t.Error("the terminal waits for whole lines")
	}

	x.resize(12, 60)
	until(t, "the smaller screen", func() bool {
		s := x.screen.play(x.text())
		for _, line := range s {
			if len([]rune(line)) > 60 {
				return false
			}
		}
		return len(s) == 12 && strings.HasPrefix(s[11], "q quit")
	})
	x.resize(30, 120)
	until(t, "the larger screen", func() bool {
		s := x.screen.play(x.text())
		return len(s) == 30 && strings.HasPrefix(s[29], "q quit")
	})

	x.press("x")
	x.shows(`^choose a connection first`)
	x.press("\x1b[B") // down
	x.press("s")
	x.shows(`^CONNECTIONS by bytes: 1$`)
	x.press("x")
	x.shows(`^Close connection 1 of orders \(.*\)\? y/n$`)
	x.press("n")
	x.shows(`^nothing was closed$`)
	x.press("x")
	x.shows(`^Close connection 1 `)
	x.press("y")
	x.shows(`^connection 1 is closed$`)
	x.shows(`^orders +pg +running +0 `)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		// A PostgreSQL client is told before it has said anything: by the end.
		t.Errorf("the client of the closed connection read %v", err)
	}
	x.shows(`connection failed`)

	x.press("q")
	x.restored(0)
}

// Whatever ends top, the terminal is as before.
func TestTopRestoresTheTerminal(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(x *topAt)
		code int
	}{
		"Ctrl-C": {func(x *topAt) { x.press("\x03") }, 0},
		"TERM":   {func(x *topAt) { _ = x.cmd.Process.Signal(syscall.SIGTERM) }, 143},
		"HUP":    {func(x *topAt) { _ = x.cmd.Process.Signal(syscall.SIGHUP) }, 129},
		"QUIT":   {func(x *topAt) { _ = x.cmd.Process.Signal(syscall.SIGQUIT) }, 131},
	} {
		t.Run(name, func(t *testing.T) {
			x := startTop(t)
			x.shows(`^orders +pg `)
			test.end(x)
			x.restored(test.code)
		})
	}
}
