//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/crypto/ssh"
)

func sshTerminalFeatures() []sshFeature {
	return []sshFeature{
		{name: "A terminal", how: "`ssh -tt host tty`", try: atTerminal("tty", "/dev/pts/", 0)},
		{name: "No terminal unless asked for", how: "`ssh host tty`", try: func(t *testing.T, p sshPlace) error {
			return p.ssh(t, nil, "tty").ended(1, "not a tty\n")
		}},
		{name: "The terminal's type", how: "`echo $TERM`", try: atTerminal("echo type=$TERM", "type=vt100", 0)},
		{name: "The window's size", how: "`stty size`", try: atTerminal("stty size", "33 77", 0)},
		{name: "A change of the window's size", how: "the window is made larger; the shell gets SIGWINCH", try: windowChange},
		{name: "Terminal modes", how: "`stty -a`, with another key for interrupts", try: terminalModes},
		{name: "An exit code from a terminal", how: "`ssh -tt host 'exit 9'`", try: atTerminal("echo bye; exit 9", "bye", 9)},
		{name: "Ctrl-C", how: "typed; the command gets SIGINT", try: typedKeys("\x03", "trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.05; done", "caught", 6)},
		{name: "Ctrl-D", how: "typed; the command sees the end of its input", try: typedKeys("\x04", "echo ready; cat; echo ended; exit 5", "ended", 5)},
		{name: "A login shell", how: "`ssh -tt host`, commands typed", try: loginShell},
		{name: "Escape characters", how: "`~.` typed", try: escape},
		{name: "A break", how: "the request break (Go's client)", try: sendBreak},
	}
}

func atTerminal(command, shown string, code int) func(*testing.T, sshPlace) error {
	return func(t *testing.T, p sshPlace) error {
		tty, err := p.terminal(t, 33, 77, command)
		if err != nil {
			return err
		}
		return errors.Join(tty.shows(shown), tty.ends(code))
	}
}

func typedKeys(keys, command, shown string, code int) func(*testing.T, sshPlace) error {
	return func(t *testing.T, p sshPlace) error {
		tty, err := p.terminal(t, 24, 80, command)
		if err != nil {
			return err
		}
		if err := errors.Join(tty.shows("ready"), tty.types(keys)); err != nil {
			return err
		}
		return errors.Join(tty.shows(shown), tty.ends(code))
	}
}

func windowChange(t *testing.T, p sshPlace) error {
	tty, err := p.terminal(t, 24, 80, "trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done")
	if err != nil {
		return err
	}
	if err := errors.Join(tty.shows("ready"), resize(tty.screen, 50, 132)); err != nil {
		return err
	}
	return errors.Join(tty.shows("50 132"), tty.ends(3))
}

func terminalModes(t *testing.T, p sshPlace) error {
	tty, err := p.terminalWith(t, terminalSettings{rows: 24, columns: 80, interrupt: 2}, "stty -a")
	if err != nil {
		return err
	}
	return errors.Join(tty.shows("intr = ^B;"), tty.ends(0))
}

func loginShell(t *testing.T, p sshPlace) error {
	tty, err := p.terminal(t, 24, 80, "")
	if err != nil {
		return err
	}
	if err := tty.types("echo $((40+2)); exit 11\r"); err != nil {
		return err
	}
	return errors.Join(tty.shows("42\r\n"), tty.ends(11))
}

func escape(t *testing.T, p sshPlace) error {
	tty, err := p.terminal(t, 24, 80, "echo ready; cat")
	if err != nil {
		return err
	}
	return errors.Join(tty.shows("ready"), tty.types("\r~."), tty.ends(255))
}

// sshd's answer to a break tells that it has sent one to the terminal.
func sendBreak(t *testing.T, p sshPlace) error {
	client, err := p.dial(t)
	if err != nil {
		return err
	}
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.RequestPty("vt100", 24, 80, nil); err != nil {
		return err
	}
	if err := session.Start("cat"); err != nil {
		return err
	}
	length := ssh.Marshal(struct{ Milliseconds uint32 }{500})
	if ok, err := session.SendRequest("break", true, length); !ok || err != nil {
		return fmt.Errorf("the break: %v, %w", ok, err)
	}
	return nil
}
