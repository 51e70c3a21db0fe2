package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	osexec "os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"secretless/internal/provider"
)

const (
	maxStdout = 1 << 20
	maxStderr = 64 << 10

	// killGrace is what a command gets between being asked to end and being
	// ended; the lookup is over by then.
	killGrace = 50 * time.Millisecond
	// drainGrace is how long output is waited for after the command has
	// exited, where somebody who left its process group holds the pipe.
	drainGrace = 100 * time.Millisecond
)

// command is a program to run without a shell.
type command struct {
	argv    []string
	environ []string
}

// with is the command with one more argument.
func (c command) with(arg string) command {
	c.argv = append(slices.Clone(c.argv), arg)
	return c
}

// output is what a command has printed. Both may hold secrets.
type output struct {
	stdout, stderr []byte
	dropped        int // bytes of stderr beyond its bound
}

func (o output) wipe() {
	clear(o.stdout)
	clear(o.stderr)
}

// run runs the command with stdin and waits until it and everything in its
// process group has ended, at the latest when ctx has.
func (c command) run(ctx context.Context, log *slog.Logger, stdin []byte) (output, error) {
	if err := ctx.Err(); err != nil {
		return output{}, err
	}
	if err := c.checkFiles(); err != nil {
		return output{}, err
	}
	pipes, err := newPipes()
	if err != nil {
		return output{}, fmt.Errorf("making pipes for the command: %w", err)
	}
	defer pipes.close()
	cmd := &osexec.Cmd{
		Path: c.argv[0], Args: c.argv, Env: c.environ, SysProcAttr: ownGroup(),
		Stdin: pipes.stdin.r, Stdout: pipes.stdout.w, Stderr: pipes.stderr.w,
	}
	// Where the kernel ends the command with its parent, the parent is the
	// thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g, err := startGroup(cmd)
	if err != nil {
		return output{}, c.startError(err)
	}
	pipes.closeChildEnds()
	return c.wait(ctx, log, g, pipes, stdin)
}

func (c command) wait(ctx context.Context, log *slog.Logger, g *group, p *pipes, stdin []byte) (output, error) {
	var out output
	var copies sync.WaitGroup
	exited, tooMuch := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const atOnce = 4
	failed := make(chan error, atOnce)
	start := func(doing string, work func()) {
		provider.Go(&copies, log, doing, work, func(err error) {
			failed <- err
			cancel() // no use in waiting for the command
		})
	}
	start("write to the command", func() {
		_, _ = p.stdin.w.Write(stdin) // who does not read it need not
		_ = p.stdin.w.Close()
	})
	start("read the command's answer", func() {
		var over bool
		if out.stdout, over = readAtMost(&outputReader{f: p.stdout.r}, maxStdout); over {
			close(tooMuch)
		}
	})
	start("read the command's messages", func() { out.stderr, out.dropped = readHead(&outputReader{f: p.stderr.r}, maxStderr) })
	start("end the command", func() { endGroup(ctx, g, exited, tooMuch) })

	state, err := g.wait()
	close(exited)
	grace := time.AfterFunc(drainGrace, p.interrupt)
	copies.Wait()
	grace.Stop()
	return out, outcome(ctx, state, err, failed, tooMuch)
}

// endGroup ends the group when the time is up or it floods us.
func endGroup(ctx context.Context, g *group, exited, tooMuch <-chan struct{}) {
	select {
	case <-exited:
		return
	case <-ctx.Done():
	case <-tooMuch:
	}
	g.terminate()
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case <-exited:
	case <-grace.C:
		g.kill()
	}
}

func outcome(ctx context.Context, state *os.ProcessState, err error, failed <-chan error, tooMuch <-chan struct{}) error {
	select {
	case err := <-failed:
		return err
	case <-tooMuch:
		return ErrTooMuch
	default:
	}
	switch {
	case err != nil:
		return fmt.Errorf("waiting for the command: %w", err)
	case state.Success():
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("command did not answer in time and was ended: %w", ctx.Err())
	}
	return &ExitError{Status: state.ExitCode(), Signal: signalOf(state)}
}

// startError says which file could not be run, and why.
func (c command) startError(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	hint := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "; install it, or correct command of the instance (a script also needs the program of its first line)"
	case errors.Is(err, fs.ErrPermission):
		hint = "; the broker's user must be able to run it (chmod +x)"
	case errors.Is(err, syscall.ENOEXEC):
		hint = "; a script begins with a line such as #!/bin/sh"
	}
	return fmt.Errorf("starting %s: %w%s", c.argv[0], err, hint)
}
