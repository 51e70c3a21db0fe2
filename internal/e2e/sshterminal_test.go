//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"secretless/internal/testenv"
)

// terminal is a client at a terminal of its own, as a person has it.
type terminal struct {
	screen *os.File
	shown  *buffer
	cmd    *exec.Cmd
	ended  chan struct{}
	read   chan struct{}
}

// terminalSettings are what a terminal is before a client starts at it.
type terminalSettings struct {
	rows, columns uint16
	interrupt     byte // the key that interrupts; 0 for the usual one
}

// terminal starts ssh -tt at a terminal of that size.
func (p sshPlace) terminal(t *testing.T, rows, columns uint16, command string) (*terminal, error) {
	t.Helper()
	return p.terminalWith(t, terminalSettings{rows: rows, columns: columns}, command)
}

func (p sshPlace) terminalWith(t *testing.T, settings terminalSettings, command string) (*terminal, error) {
	t.Helper()
	screen, keyboard, err := openTerminal(settings)
	if err != nil {
		return nil, err
	}
	defer keyboard.Close()
	args := []string{"-F", p.Config, "-tt", testenv.SSHHost}
	if command != "" {
		args = append(args, command)
	}
	cmd := p.command(context.WithoutCancel(t.Context()), testenv.Tool(t, "ssh"), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = keyboard, keyboard, keyboard
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		_ = screen.Close()
		return nil, err
	}
	tty := &terminal{screen: screen, shown: &buffer{}, cmd: cmd, ended: make(chan struct{}), read: make(chan struct{})}
	go func() {
		defer close(tty.ended)
		_ = cmd.Wait()
	}()
	go func() {
		defer close(tty.read)
		// Fails when the last program has let go of the terminal.
		_, _ = screen.WriteTo(tty.shown)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-tty.ended
		<-tty.read
		_ = screen.Close()
	})
	return tty, nil
}

func openTerminal(settings terminalSettings) (screen, keyboard *os.File, err error) {
	screen, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fail := func(err error) (*os.File, *os.File, error) {
		_ = screen.Close()
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return fail(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		return fail(err)
	}
	if err := resize(screen, settings.rows, settings.columns); err != nil {
		return fail(err)
	}
	if settings.interrupt != 0 {
		modes, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
		if err != nil {
			return fail(err)
		}
		modes.Cc[unix.VINTR] = settings.interrupt
		if err := unix.IoctlSetTermios(int(screen.Fd()), unix.TCSETS, modes); err != nil {
			return fail(err)
		}
	}
	keyboard, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return fail(err)
	}
	return screen, keyboard, nil
}

func resize(screen *os.File, rows, columns uint16) error {
	return unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
}

func (tty *terminal) types(keys string) error {
	_, err := tty.screen.WriteString(keys)
	return err
}

// shows waits for the text on the screen.
func (tty *terminal) shows(text string) error {
	if !await(func() bool { return tty.shown.has(text) }) {
		return fmt.Errorf("the screen shows %q, want %q", tty.shown, text)
	}
	return nil
}

// ends waits for the client and returns an error unless that is its exit code.
func (tty *terminal) ends(code int) error {
	select {
	case <-tty.ended:
	case <-time.After(patience):
		return fmt.Errorf("the client does not end; the screen shows %q", tty.shown)
	}
	<-tty.read
	if got := tty.cmd.ProcessState.ExitCode(); got != code {
		return fmt.Errorf("exit code %d, want %d; the screen shows %q", got, code, tty.shown)
	}
	return nil
}
