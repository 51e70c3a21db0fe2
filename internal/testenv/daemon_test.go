package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// scripted is a daemon whose program is a script; each start takes the next,
// with the last for all that follow. It is ready when it has printed so.
func scripted(t *testing.T, scripts ...string) *daemon {
	t.Helper()
	dir, err := env.newDir("daemon")
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon(dir, service{name: "some server", ports: []*int{new(int)}})
	d.program = func() (program, error) {
		script := scripts[0]
		if len(scripts) > 1 {
			scripts = scripts[1:]
		}
		return program{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"MORE=1"}}, nil
	}
	d.ready = func(context.Context) error {
		if !strings.Contains(d.Log(), "ready") {
			return errors.New("it does not say so")
		}
		return nil
	}
	return d
}

const serving = "echo ready; exec sleep 300"

func TestDaemonThatDoesNotStart(t *testing.T) {
	d := scripted(t, "seq 100000; echo the reason; exit 7")
	err := d.startSomewhere()
	if err == nil || !strings.Contains(err.Error(), "some server has ended by itself (exit status 7)") || !strings.HasSuffix(err.Error(), "the reason\n") || len(err.Error()) > 5000 {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(d.dir); !os.IsNotExist(err) {
		t.Errorf("its directory is left: %v", err)
	}
}

func TestDaemonThatEndsByItself(t *testing.T) {
	d := scripted(t, "echo ready; echo the reason; exec sleep 300", serving)
	if err := d.startSomewhere(); err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGKILL) // which is not Kill
	<-d.proc.done
	d.Stop()
	err := d.died()
	if err == nil || !strings.Contains(err.Error(), "some server has ended by itself (signal: killed)") || !strings.HasSuffix(err.Error(), "the reason\n") {
		t.Errorf("got %v", err)
	}
	d.Restart(t)
	d.Kill()
	d.Restart(t)
	if err := d.close(); err != nil {
		t.Errorf("ended by its test: %v", err)
	}
}

func TestDaemonTakesOtherPorts(t *testing.T) {
	taken := "echo bind: Address already in use; "
	d := scripted(t, taken+"exit 1", taken+serving, serving)
	var ports []int
	next := d.program
	d.program = func() (program, error) {
		ports = append(ports, *d.ports[0])
		return next()
	}
	if err := d.startSomewhere(); err != nil {
		t.Fatal(err)
	}
	if len(ports) != 3 || ports[0] == 0 || ports[0] == ports[1] || ports[1] == ports[2] {
		t.Errorf("tried %v", ports)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}

func TestDaemonEnvironmentIsBare(t *testing.T) {
	t.Setenv("SOMEBODYS", "own")
	d := scripted(t, "env; "+serving)
	if err := d.startSomewhere(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.close() }()
	var names []string
	for line := range strings.Lines(d.Log()) {
		if name, _, ok := strings.Cut(line, "="); ok && name != "PWD" && name != "OLDPWD" && name != "SHLVL" && name != "_" {
			names = append(names, name)
		}
	}
	if want := "[HOME LC_ALL MORE PATH TMPDIR TZ]"; fmt.Sprint(slices.Sorted(slices.Values(names))) != want {
		t.Errorf("got %v, want %s", names, want)
	}
}
