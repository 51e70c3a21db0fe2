package testenv

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keeperVariable in the environment makes a test binary a keeper.
const keeperVariable = "SECRETLESS_TEST_KEEPER"

func isKeeper() bool { return os.Getenv(keeperVariable) != "" }

// keeper is a process between the tests and one server. Whatever that has
// started becomes the keeper's child when its own parent ends, be it in another
// process group or session: so the keeper can tell when nothing is left. It
// ends the server when the tests close its orders, which the kernel does where
// they were killed.
type keeper struct {
	program
	pid    int
	orders <-chan syscall.Signal
	died   chan os.Signal
}

// The files of a keeper beside the server's own.
const (
	ordersFD  = 3 // the program, a line of JSON; then signals for it, a byte each
	answersFD = 4 // a line when it has started, another when nothing is left
)

const started = "started"

// keep is a keeper's main program; it returns its exit code.
func keep() int {
	answers := os.NewFile(answersFD, "answers")
	syscall.CloseOnExec(ordersFD)
	syscall.CloseOnExec(answersFD)
	// The server dies with the thread that starts it.
	runtime.LockOSThread()
	k := &keeper{died: make(chan os.Signal, 1)}
	if err := k.start(os.NewFile(ordersFD, "orders")); err != nil {
		fmt.Fprintln(answers, err)
		return 1
	}
	fmt.Fprintln(answers, started)
	how := k.wait()
	killRest()
	fmt.Fprintln(answers, how)
	return 0
}

func (k *keeper) start(orders io.Reader) error {
	in := bufio.NewReader(orders)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &k.program); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	signal.Notify(k.died, syscall.SIGCHLD)
	attr := &syscall.ProcAttr{Dir: k.Dir, Env: k.Env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Pdeathsig: k.Ask}}
	if k.UID != os.Getuid() {
		attr.Sys.Credential = credential(k.UID, k.GID)
	}
	if k.pid, err = syscall.ForkExec(k.Path, append([]string{k.Path}, k.Args...), attr); err != nil {
		return fmt.Errorf("run %s: %w", k.Path, err)
	}
	signals := make(chan syscall.Signal)
	k.orders = signals
	// It ends with the process.
	go func() {
		defer close(signals)
		for {
			s, err := in.ReadByte()
			if err != nil {
				return
			}
			signals <- syscall.Signal(s)
		}
	}()
	return nil
}

// wait passes on signals until the server has ended, and says how that ended.
func (k *keeper) wait() string {
	var impatient <-chan time.Time
	for {
		select {
		case <-k.died:
			if how := k.reap(); how != "" {
				return how
			}
		case s, open := <-k.orders:
			if !open {
				k.orders, s, impatient = nil, k.Ask, time.After(patience)
			}
			_ = syscall.Kill(k.pid, s)
		case <-impatient:
			_ = syscall.Kill(k.pid, syscall.SIGKILL)
		}
	}
}

// reap takes note of children that have ended; if the server is among them it
// says how.
func (k *keeper) reap() (how string) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || pid == 0:
			return how
		case pid == k.pid && status.Signaled():
			how = "signal: " + status.Signal().String()
		case pid == k.pid:
			how = "exit status " + strconv.Itoa(status.ExitStatus())
		}
	}
}

// killRest kills children until there are none: those of a killed one come to
// the keeper, and so do those that were forked meanwhile.
func killRest() {
	for {
		for _, pid := range children() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.ECHILD) {
			return
		}
		if pid == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// children are the processes whose parent this one is.
func children() (pids []int) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
