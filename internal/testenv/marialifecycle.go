package testenv

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// startSomewhere picks a port and starts; another port if that one is taken in
// between.
func (s *MariaServer) startSomewhere() error {
	s.IPv6 = hasIPv6()
	var err error
	for range 10 {
		if s.Port, err = freePort(s.IPv6); err != nil {
			return err
		}
		if err = s.start(); err == nil || !strings.Contains(s.Log(), "Bind on TCP/IP port") {
			return err
		}
		s.Stop()
		_ = os.Truncate(s.logFile(), 0)
	}
	return err
}

// start runs the server and returns when it takes connections.
func (s *MariaServer) start() error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	addresses := "127.0.0.1"
	if s.IPv6 {
		addresses += ",::1"
	}
	cmd := exec.Command(mariadbd, append(s.options(), fmt.Sprintf("--port=%d", s.Port), "--bind-address="+addresses)...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	if err := asServerUser(cmd); err != nil {
		return err
	}
	proc, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("start MariaDB: %w", err)
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	return s.ready(proc)
}

// ready waits until the server answers. It opens its sockets last, after it
// has made the accounts.
func (s *MariaServer) ready(proc *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	connector, err := mysql.NewConnector(mysqlConfig("unix", s.Socket(), s.Users.Admin))
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-proc.done:
			return fmt.Errorf("MariaDB ended (%v): %s", proc.err, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("MariaDB does not answer: %w: %s", err, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server in order; it has ended when Stop returns. It may be
// called on a stopped server.
func (s *MariaServer) Stop() {
	if proc := s.process(); proc != nil && proc.stop(20*time.Second, syscall.SIGTERM) != nil {
		s.Kill()
	}
}

// Kill kills the server; its clients see their connections break.
func (s *MariaServer) Kill() {
	if proc := s.process(); proc != nil && !proc.ended() {
		_ = proc.cmd.Process.Kill()
		<-proc.done
	}
}

// Restart starts a stopped, killed or running server again, on the same port.
func (s *MariaServer) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	_ = os.Truncate(s.logFile(), 0)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *MariaServer) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
