package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// separation is where Debian's sshd, started by root, has its unprivileged half
// look at an empty directory. The service's unit would make it.
const separation = "/run/sshd"

// startSomewhere picks a port and starts; another port if that one is taken in
// between.
func (s *SSHServer) startSomewhere() error {
	if os.Getuid() == 0 {
		if err := os.MkdirAll(separation, 0o755); err != nil {
			return err
		}
	}
	var err error
	for range 10 {
		if s.Port, err = freePort(false); err != nil {
			return err
		}
		if err = s.start(); err == nil || !strings.Contains(s.Log(), "Cannot bind") {
			return err
		}
	}
	return err
}

// start runs the server and returns when it greets clients.
func (s *SSHServer) start() error {
	if err := os.WriteFile(s.file("config"), []byte(s.config()), 0o600); err != nil {
		return err
	}
	log, err := os.Create(s.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(sshd, "-D", "-e", "-f", s.file("config"))
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	proc, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("start sshd: %w", err)
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	return s.ready(proc)
}

// ready waits for the greeting of a process that did not end meanwhile: on a
// taken port somebody else may answer.
func (s *SSHServer) ready(proc *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		err := s.greets(ctx)
		if err == nil && strings.Contains(s.Log(), "Server listening") {
			return nil
		}
		select {
		case <-proc.done:
			return fmt.Errorf("sshd ended (%v): %s", proc.err, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("sshd does not answer: %w: %s", err, s.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *SSHServer) greets(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.TCP())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	greeting := make([]byte, len("SSH-2.0-"))
	if _, err := io.ReadFull(conn, greeting); err != nil {
		return err
	}
	if string(greeting) != "SSH-2.0-" {
		return errors.New("something else listens there")
	}
	return nil
}

// Stop ends the server; connections that are open go on, as with every sshd.
// It may be called on a stopped server.
func (s *SSHServer) Stop() {
	if proc := s.process(); proc != nil && proc.stop(10*time.Second, syscall.SIGTERM) != nil {
		s.Kill()
	}
}

// Kill kills the server and the process of each connection.
func (s *SSHServer) Kill() {
	if proc := s.process(); proc != nil && !proc.ended() {
		killTree(proc.cmd.Process.Pid)
		<-proc.done
	}
}

// Restart starts a stopped, killed or running server again, on the same port.
func (s *SSHServer) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *SSHServer) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
