//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/testenv"
)

// runs tries a command that must print exactly that, end well and be silent on
// stderr.
func runs(command, want string, options ...string) func(*testing.T, sshPlace) error {
	return func(t *testing.T, p sshPlace) error { return p.ssh(t, nil, command, options...).prints(want) }
}

func sshSessionFeatures() []sshFeature {
	return []sshFeature{
		{name: "A command and its output", how: "`ssh host command`", try: runs("echo hello; echo again", "hello\nagain\n")},
		{name: "Quoting of a command", how: "`ssh host \"printf '%s' …\"`", try: runs(`printf '%s|' "a b" 'c"d' \$x`, `a b|c"d|$x|`)},
		{name: "Exit codes 0 to 255", how: "256 sessions of one connection, and ssh's own exit code", try: everyExitCode},
		{name: "End by a signal", how: "`kill -TERM $$`: exit-signal with its name", try: exitSignal},
		{name: "Errors apart from output", how: "stderr and stdout of one command", try: separateErrors},
		{name: "Input and its end", how: "`cat | ssh host cat`", try: inputAndEnd},
		{name: "Output after the end of input", how: "`ssh host 'cat; echo done'`", try: func(t *testing.T, p sshPlace) error {
			return p.ssh(t, strings.NewReader("hello\n"), "cat; sleep 0.2; echo done").prints("hello\ndone\n")
		}},
		{name: "Input after the end of output", how: "`ssh host 'exec >&-; cat > file'`", try: inputAfterOutput},
		{name: "Every byte value", how: "1 MB of random bytes there and back", try: everyByte},
		{name: "A command that leaves its input unread", how: "20 MB into `ssh host 'head -c 5'`", try: earlyExit},
		{name: "A reader that stops early", how: "`ssh host yes | head -1`", try: earlyReader},
		{name: "No input at all", how: "`ssh -n host cat`", try: runs("cat; echo nothing", "nothing\n", "-n")},
		{name: "A shell without a terminal", how: "`ssh -T host < script`", try: func(t *testing.T, p sshPlace) error {
			return p.ssh(t, strings.NewReader("echo one\nexit 3\n"), "", "-T").ended(3, "one\n")
		}},
		{name: "Environment variables", how: "SendEnv and SetEnv", try: runs("echo $LC_A $TEST_B", "a b\n", "-o", "SetEnv=LC_A=a TEST_B=b")},
		{name: "Variables that the server does not accept", how: "SetEnv of another name", try: runs("echo -$OTHER-", "--\n", "-o", "SetEnv=OTHER=a")},
		{name: "A subsystem of the server's own", how: "`ssh -s host cat`", try: func(t *testing.T, p sshPlace) error {
			return p.ssh(t, strings.NewReader("hello"), "cat", "-s").prints("hello")
		}},
		{name: "A subsystem that is not there", how: "`ssh -s host missing`", try: func(t *testing.T, p sshPlace) error {
			return p.ssh(t, nil, "missing", "-s").fails("subsystem request failed")
		}},
		{name: "A session in the background", how: "`ssh -f host command`", try: inBackground},
		{name: "A session for forwarding alone", how: "`ssh -N`, ended by its user", try: noCommand},
		{name: "Requests that nobody knows", how: "a global request and a channel type of no meaning", try: unknownRequests},
	}
}

// everyExitCode takes a connection's sessions, eight at a time.
func everyExitCode(t *testing.T, p sshPlace) error {
	if err := p.ssh(t, nil, "exit 255").ended(255, ""); err != nil {
		return err
	}
	client, err := p.dial(t)
	if err != nil {
		return err
	}
	codes, failures := make(chan int), make(chan error, 256)
	var owned sync.WaitGroup
	for range 8 {
		owned.Go(func() {
			for code := range codes {
				failures <- exitsWith(client, code)
			}
		})
	}
	for code := range 256 {
		codes <- code
	}
	close(codes)
	owned.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}

func exitsWith(client *ssh.Client, code int) error {
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	err = session.Run(fmt.Sprintf("exit %d", code))
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok && exit.ExitStatus() == code || err == nil && code == 0 {
		return nil
	}
	return fmt.Errorf("exit %d came out as %w", code, err)
}

func exitSignal(t *testing.T, p sshPlace) error {
	if err := p.ssh(t, nil, "kill -TERM $$").ended(255, ""); err != nil {
		return err
	}
	client, err := p.dial(t)
	if err != nil {
		return err
	}
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	err = session.Run("kill -TERM $$")
	if exit, ok := errors.AsType[*ssh.ExitError](err); !ok || exit.Signal() != "TERM" {
		return fmt.Errorf("the session ended with %w, want the signal TERM", err)
	}
	return nil
}

func separateErrors(t *testing.T, p sshPlace) error {
	got := p.ssh(t, nil, "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 2")
	if got.code != 2 || got.out != "out 1\nout 2\nout 3\n" || got.err != "err 1\nerr 2\nerr 3\n" {
		return fmt.Errorf("got %+v", got)
	}
	return nil
}

func inputAndEnd(t *testing.T, p sshPlace) error {
	if err := p.ssh(t, strings.NewReader("hello"), "cat").prints("hello"); err != nil {
		return err
	}
	return p.ssh(t, strings.NewReader(""), "cat").prints("")
}

// The command ends its output at once; what it is sent after that arrives.
func inputAfterOutput(t *testing.T, p sshPlace) error {
	file := filepath.Join(t.TempDir(), "file")
	words := randomBytes(3_000_000)
	got := p.ssh(t, strings.NewReader(string(words)), "exec >&- 2>&-; cat > "+file)
	if err := got.prints(""); err != nil {
		return err
	}
	return holds(file, words)
}

func holds(file string, want []byte) error {
	got, err := os.ReadFile(file)
	if err == nil && string(got) != string(want) {
		err = fmt.Errorf("%s holds %d bytes, not the %d that it should", filepath.Base(file), len(got), len(want))
	}
	return err
}

func everyByte(t *testing.T, p sshPlace) error {
	words := string(randomBytes(1_000_000))
	return p.ssh(t, strings.NewReader(words), "cat").prints(words)
}

func earlyExit(t *testing.T, p sshPlace) error {
	return p.ssh(t, strings.NewReader(strings.Repeat("x", 20_000_000)), "head -c 5; exit 7").ended(7, "xxxxx")
}

// The far command ends, by SIGPIPE, when its reader is gone: so does ssh.
func earlyReader(t *testing.T, p sshPlace) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := p.command(ctx, testenv.Tool(t, "ssh"), "-F", p.Config, testenv.SSHHost, "yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = io.ReadFull(out, make([]byte, 100_000))
	_ = out.Close()
	_ = cmd.Wait()
	if ctx.Err() != nil {
		return errors.New("the command goes on")
	}
	return err
}

func inBackground(t *testing.T, p sshPlace) error {
	file := filepath.Join(t.TempDir(), "file")
	if err := p.ssh(t, nil, "sleep 0.3; echo done > "+file, "-f").prints(""); err != nil {
		return err
	}
	if !await(func() bool { return holds(file, []byte("done\n")) == nil }) {
		return errors.New("the command did not run to its end")
	}
	return nil
}

func noCommand(t *testing.T, p sshPlace) error {
	control := filepath.Join(t.TempDir(), "c")
	stop, err := p.master(t, control)
	if err != nil {
		return err
	}
	return stop()
}

func unknownRequests(t *testing.T, p sshPlace) error {
	client, err := p.dial(t)
	if err != nil {
		return err
	}
	if ok, _, err := client.SendRequest("nothing@example.com", true, []byte("x")); ok || err != nil {
		return fmt.Errorf("the global request: %v, %w", ok, err)
	}
	_, _, err = client.OpenChannel("nothing@example.com", nil)
	// So it answers, whatever the reason.
	if refused, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refused.Reason != ssh.ConnectionFailed {
		return fmt.Errorf("the channel: %w", err)
	}
	return nil
}
