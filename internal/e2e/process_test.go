//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"strings"
)

// ownProcessVariable, if set, makes every broker of these tests a process of its
// own, which is hardened as users' brokers are. Its value, unless it is 1, is
// that process's GODEBUG.
const ownProcessVariable = "SECRETLESS_E2E_OWN_PROCESS"

// brokerRole makes the test binary the program.
const brokerRole = "broker"

// startProcess runs the program as users do, with r's environment and nothing
// else.
func (r *running) startProcess(args []string) {
	r.t.Helper()
	cmd := exec.Command(os.Args[0], args...) //nolint:noctx // it is ended by a signal
	cmd.Env = []string{puppetVariable + "=" + brokerRole, "GORACE=atexit_sleep_ms=0"}
	if debug := os.Getenv(ownProcessVariable); strings.Contains(debug, "=") {
		cmd.Env = append(cmd.Env, "GODEBUG="+debug)
	}
	for name, value := range r.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		for {
			select {
			case s := <-r.signals:
				_ = cmd.Process.Signal(s)
			case <-r.done:
				return
			}
		}
	}()
	go func() {
		defer close(r.done)
		_ = cmd.Wait()
		r.code = cmd.ProcessState.ExitCode()
	}()
}
