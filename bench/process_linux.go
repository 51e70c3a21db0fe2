package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// account is the user that servers and proxies run as: nil for the caller's
// own, postgres for root, because PostgreSQL and PgBouncer refuse to be root.
type account struct {
	credential *syscall.Credential
	uid, gid   int
}

func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: -1, gid: -1}, nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		return account{}, fmt.Errorf("PostgreSQL refuses to run as root and there is no other user for it: %w", err)
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("user postgres: %w", err)
	}
	return account{
		credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
		uid:        int(uid), gid: int(gid),
	}, nil
}

// makeDir creates a directory that belongs to the account.
func (a account) makeDir(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chown(path, a.uid, a.gid)
}

// writeFile creates a file that only the account can read.
func (a account) writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Chown(path, a.uid, a.gid)
}

func (a account) appendFile(path, content string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// launch is how to start a process.
type launch struct {
	args []string
	env  []string // in addition to the bare minimum
	// input, unless nil, is written to its standard input, which then stays
	// open until the process has ended. It must fit into a pipe.
	input []byte
	// end asks the process, and what it forked, to stop at once. The kernel
	// sends it as well when this program dies without having done so.
	end syscall.Signal
}

// process is a running child. Its owner calls stop.
type process struct {
	cmd    *exec.Cmd
	end    syscall.Signal
	log    string
	exited chan struct{}
}

// bareEnvironment leaves out everything that could steer a client or a server
// (PGHOST, PGSERVICE, GOMAXPROCS …).
func bareEnvironment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C", "LC_ALL=C"}
}

// start runs the process in its own group, so that a Ctrl-C reaches this
// program alone and the children are ended in order.
func (a account) start(dir string, l launch) (*process, error) {
	logPath := filepath.Join(dir, "output.log")
	output, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.Command(l.args[0], l.args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(bareEnvironment(), l.env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: l.end, Credential: a.credential}
	if l.input != nil {
		if err := feed(cmd, l.input); err != nil {
			return nil, fmt.Errorf("the standard input of %s: %w", l.args[0], err)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", l.args[0], err)
	}
	p := &process{cmd: cmd, end: l.end, log: logPath, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		// How it ended is in its log; that it ended is all anybody waits for.
		_ = cmd.Wait()
	}()
	return p, nil
}

// feed makes input the beginning of the command's standard input.
func feed(cmd *exec.Cmd, input []byte) error {
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	_, err = pipe.Write(input)
	return err
}

// stop ends the process and its group and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(p.end)
	select {
	case <-p.exited:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

// errExited is why waiting for a process to become ready ended.
var errExited = errors.New("it exited")

// await calls ready every interval until it succeeds, the process exits, or
// ten seconds have passed.
func (p *process) await(ctx context.Context, interval time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s: %w: %s", p.cmd.Path, errExited, p.lastOutput())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", p.cmd.Path, err, p.lastOutput())
		case <-time.After(interval):
		}
	}
}

// lastOutput is the end of what the process wrote.
func (p *process) lastOutput() string {
	const most = 600
	output, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(output[max(0, len(output)-most):])
}
