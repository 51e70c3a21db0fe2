package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is the program of a private server, whichever kind of server that is.
//
//   - It listens on 127.0.0.1, on ports that are its own; on others if somebody
//     else takes one while it starts. They stay the same when it starts again.
//   - It has a directory, which is also its home and its working directory.
//   - Of the environment of whoever runs the tests it has PATH.
//   - What it prints is in Log, from its last start on.
//   - It ends when the test does that it belongs to, those that are shared with
//     the test process; and so does everything that it has started. That holds
//     for a test process that is killed where CanBindToProcess.
//   - If it ends before anybody asked it to, that fails the test, or the run if
//     it is shared, with the end of its log.
type daemon struct {
	service
	dir string

	mu    sync.Mutex
	proc  *process // of the last start
	asked bool     // to end
}

// service is what one kind of server says about its program.
type service struct {
	// name is what errors call it.
	name string
	// ports are free when program is called.
	ports []*int
	// ipv6 says that it listens on ::1 as well.
	ipv6 bool
	// program writes what must be written before each start, and says what to
	// run. The environment is added to the bare one.
	program func() (program, error)
	// ask is the signal that ends it in order; SIGTERM unless it is another.
	ask syscall.Signal
	// asServerUser says that it must not run as root.
	asServerUser bool
	// ready is asked again and again until it says nil.
	ready func(context.Context) error
	// killed, unless nil, removes what it can only remove itself when it ends in
	// order.
	killed func()
}

const (
	startLimit = 3 * time.Minute // generous: the machine may be busy
	startPoll  = 20 * time.Millisecond
)

// newDir makes a directory for a server of one kind.
func (e *environment) newDir(kind string) (string, error) {
	base, err := e.baseDir()
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(base, kind)
}

func newDaemon(dir string, s service) *daemon {
	if s.ask == 0 {
		s.ask = syscall.SIGTERM
	}
	return &daemon{service: s, dir: dir}
}

// startSomewhere starts it for the first time. If that fails, nothing is left.
func (d *daemon) startSomewhere() error {
	err := onFreePorts(d.ports, d.ipv6, d.start)
	if err != nil {
		_ = os.RemoveAll(d.dir)
	}
	return err
}

// start starts it and returns when it is ready, or has ended again.
func (d *daemon) start() error {
	err := d.launch()
	if err == nil {
		err = d.await(d.ready)
	}
	if err == nil && d.portTaken() {
		err = errPortTaken // it does without one of its addresses
	}
	if err != nil {
		d.Kill()
	}
	return err
}

// launch starts it, and somebody awaits it.
func (d *daemon) launch() error {
	if !env.main.Load() {
		return errors.New("the package's TestMain does not call testenv.Main")
	}
	p, err := d.program()
	if err != nil {
		return fmt.Errorf("prepare %s: %w", d.name, err)
	}
	p.Dir, p.Env, p.Ask = d.dir, append(bareEnv(d.dir), p.Env...), d.ask
	p.UID, p.GID = os.Getuid(), os.Getgid()
	if d.asServerUser {
		if p.UID, p.GID, err = serverUser(); err != nil {
			return err
		}
	}
	log, err := os.Create(d.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	proc, err := launch(p, log)
	if err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proc, d.asked = proc, false
	return nil
}

func bareEnv(home string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C", "TZ=UTC"}
}

// await waits until ready says nil, and gives up when it, or another that it
// needs, has ended.
func (d *daemon) await(ready func(context.Context) error, needed ...*daemon) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		err := ready(ctx)
		for _, one := range append(needed, d) {
			if died := one.died(); died != nil {
				return died
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log ends with: %s", d.name, err, d.logEnd())
		case <-time.After(startPoll):
		}
	}
}

// died says how it has ended if nobody had asked it to.
func (d *daemon) died() error {
	d.mu.Lock()
	proc, asked := d.proc, d.asked
	d.mu.Unlock()
	if proc == nil || asked || !proc.ended() {
		return nil
	}
	err := fmt.Errorf("%s has ended by itself (%s); its log ends with: %s", d.name, proc.how, d.logEnd())
	if d.portTaken() {
		err = fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return err
}

// portTaken looks for what the C library and Go's call it: each server logs it.
func (d *daemon) portTaken() bool {
	return strings.Contains(strings.ToLower(d.Log()), "address already in use")
}

func (d *daemon) file(name string) string { return filepath.Join(d.dir, name) }
func (d *daemon) logFile() string         { return d.file(d.name + ".log") }

// Log is what the server has logged since it was started.
func (d *daemon) Log() string {
	b, _ := os.ReadFile(d.logFile())
	return string(b)
}

func (d *daemon) logEnd() string {
	const most = 4 << 10
	log := d.Log()
	return log[max(0, len(log)-most):]
}

// running is its process, which is to end.
func (d *daemon) running() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proc == nil || d.proc.ended() {
		return nil
	}
	d.asked = true
	return d.proc
}

// signal sends it a signal that does not end it.
func (d *daemon) signal(s syscall.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proc.signal(s)
}

// Stop ends the server in order: clients are told, and nothing of it runs when
// Stop returns. It may be called on a stopped server.
func (d *daemon) Stop() {
	if proc := d.running(); proc != nil && !proc.asked(d.ask) {
		d.Kill()
	}
}

// Kill kills every process of the server; its clients see their connections
// break.
func (d *daemon) Kill() {
	proc := d.running()
	if proc == nil {
		return
	}
	proc.kill()
	if d.killed != nil {
		d.killed()
	}
}

// Restart starts a stopped, killed or running server again, on the same ports,
// with what it had stored.
func (d *daemon) Restart(t testing.TB) {
	t.Helper()
	d.Stop()
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
}

// close ends it for good.
func (d *daemon) close() error { return closeAll(d.dir, d) }

// closeAll ends the servers of one directory in turn and removes that. An error
// says which had ended before.
func closeAll(dir string, all ...*daemon) error {
	var died error
	for _, d := range all {
		died = errors.Join(died, d.died())
	}
	for _, d := range all {
		d.Stop()
	}
	return errors.Join(died, os.RemoveAll(dir))
}
