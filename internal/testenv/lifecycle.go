package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startSomewhere picks a port and starts; another port if that one is taken in
// between.
func (s *Server) startSomewhere() error {
	s.IPv6 = hasIPv6()
	var err error
	for range 10 {
		if s.Port, err = freePort(s.IPv6); err != nil {
			return err
		}
		if err = s.start(); err == nil || !strings.Contains(s.Log(), "could not bind") {
			return err
		}
		s.Stop()
		_ = os.Truncate(s.logFile(), 0)
	}
	return err
}

// freePort looks below the range that the kernel gives to outgoing
// connections, which would take the port before the server does.
func freePort(ipv6 bool) (int, error) {
	for range 200 {
		port := 20000 + rand.IntN(10000)
		if canListen("127.0.0.1", port) && (!ipv6 || canListen("::1", port)) {
			return port, nil
		}
	}
	return 0, errors.New("no free port between 20000 and 30000")
}

func canListen(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// start runs the server and returns when it takes connections.
func (s *Server) start() error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	addresses := "127.0.0.1"
	if s.IPv6 {
		addresses += ",::1"
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", fmt.Sprint(s.Port), "-k", s.dir,
		"-c", "listen_addresses="+addresses)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	// The locale of whoever runs the tests must not translate messages.
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	if err := asServerUser(cmd); err != nil {
		return err
	}
	proc, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("start PostgreSQL %d: %w", s.Version, err)
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	return s.ready(proc)
}

// ready waits until the server answers and has its addresses.
func (s *Server) ready(proc *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN(s.Users.Admin, "host="+s.SocketDir()))
		if err == nil {
			_ = conn.Close(ctx)
			if strings.Contains(s.Log(), "could not bind") {
				return fmt.Errorf("PostgreSQL %d: port %d was taken", s.Version, s.Port)
			}
			return nil
		}
		select {
		case <-proc.done:
			return fmt.Errorf("PostgreSQL %d ended (%v): %s", s.Version, proc.err, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL %d does not answer: %w: %s", s.Version, err, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop shuts down as `pg_ctl stop -m fast` does: clients are told, and the
// server has ended when Stop returns. It may be called on a stopped server.
func (s *Server) Stop() {
	if proc := s.process(); proc != nil && proc.stop(20*time.Second, syscall.SIGINT, syscall.SIGQUIT) != nil {
		s.Kill()
	}
}

// Kill kills every process of the server; its clients see their connections
// break.
func (s *Server) Kill() {
	if proc := s.process(); proc != nil && !proc.ended() {
		killTree(proc.cmd.Process.Pid)
		<-proc.done
		s.forgetSharedMemory()
	}
}

// forgetSharedMemory removes the System V segment of a killed server, which
// would stay until the machine restarts. Its id is in the server's pid file.
func (s *Server) forgetSharedMemory() {
	pidFile, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	lines := strings.Split(string(pidFile), "\n")
	if len(lines) < 7 {
		return
	}
	if ids := strings.Fields(lines[6]); len(ids) == 2 {
		if id, err := strconv.Atoi(ids[1]); err == nil {
			removeSegment(id)
		}
	}
}

// Restart starts a stopped, killed or running server again, on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	_ = os.Truncate(s.logFile(), 0)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
