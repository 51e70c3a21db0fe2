package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// What the private MariaDB holds: it fits into the buffer pool.
const sysbenchRows = 100_000

func mariadb() kind { return kind{"MariaDB", startMariaDB} }

// mariadbServer is a private MariaDB with one account (mysql_native_password),
// on TCP and on a unix socket.
type mariadbServer struct {
	listening
	program, sysbench string
	dir               string
}

// startMariaDB makes a data directory, starts a server on it and fills it.
func startMariaDB(ctx context.Context, b *bench) (server, error) {
	dir := filepath.Join(b.dir, "maria")
	s := &mariadbServer{dir: dir, listening: listening{
		connector: "mysql", socket: filepath.Join(dir, "socket"), password: rand.Text(),
	}}
	var err error
	if s.program, err = findProgram("mariadbd"); err != nil {
		return nil, err
	}
	if s.sysbench, err = findProgram("sysbench"); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	owner := b.fleet.owner
	if err := s.initialise(ctx, owner); err != nil {
		return nil, err
	}
	s.process, err = owner.start(s.dir, launch{
		args: append([]string{s.program}, s.options()...),
		end:  syscall.SIGKILL, // nothing in it is worth an orderly end
	})
	if err != nil {
		return nil, err
	}
	if err := s.fill(ctx); err != nil {
		s.process.stop()
		return nil, err
	}
	return s, nil
}

// initialise makes an empty data directory and what the server reads when it
// starts.
func (s *mariadbServer) initialise(ctx context.Context, owner account) error {
	install, err := findProgram("mariadb-install-db")
	if err != nil {
		return err
	}
	if err := owner.makeDir(s.dir); err != nil {
		return fmt.Errorf("MariaDB's directory: %w", err)
	}
	command := exec.CommandContext(ctx, install, append([]string{
		"--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
		"--datadir=" + s.path("data"),
	}, s.engine()...)...)
	command.Env = bareEnvironment()
	command.Dir = s.dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: owner.credential, Pdeathsig: syscall.SIGKILL}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.600s", install, err, output)
	}
	private, err := newKey()
	if err != nil {
		return err
	}
	certificate, key, err := selfSigned(private)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"server.crt": certificate, "server.key": key,
		"init.sql": fmt.Sprintf(`CREATE DATABASE %[1]s;
CREATE USER '%[2]s'@'%%' IDENTIFIED VIA mysql_native_password USING PASSWORD('%[3]s');
GRANT ALL ON %[1]s.* TO '%[2]s'@'%%';
`, benchDatabase, benchUser, s.password),
	} {
		if err := owner.writeFile(s.path(name), content); err != nil {
			return fmt.Errorf("MariaDB's files: %w", err)
		}
	}
	return nil
}

// engine keeps the disk out of what is measured.
func (s *mariadbServer) engine() []string {
	return []string{
		"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--skip-log-bin",
		"--innodb-buffer-pool-size=128M", "--innodb-log-file-size=64M", "--skip-performance-schema",
	}
}

// options say where it listens. A relay that is tried for whether it listens
// may open and close a connection, which must not make the server block it.
func (s *mariadbServer) options() []string {
	return append([]string{
		"--no-defaults", "--datadir=" + s.path("data"), "--tmpdir=" + s.dir, "--socket=" + s.socket,
		"--pid-file=" + s.path("pid"), "--bind-address=" + loopback, "--port=" + strconv.Itoa(s.port),
		"--init-file=" + s.path("init.sql"), "--ssl-cert=" + s.path("server.crt"), "--ssl-key=" + s.path("server.key"),
		"--skip-name-resolve", "--max-connections=400", "--max-connect-errors=1000000", "--skip-log-error",
	}, s.engine()...)
}

func (s *mariadbServer) path(name string) string { return filepath.Join(s.dir, name) }

// fill waits for the server and makes the table of point selects.
func (s *mariadbServer) fill(ctx context.Context) error {
	e := s.direct(way{network: "unix"})
	if err := s.process.await(ctx, 50*time.Millisecond, ready(openMySQL, e)); err != nil {
		return err
	}
	_, err := runClient(ctx, 60, nil, s.sysbench, append(sysbenchArguments(e), "prepare")...)
	return err
}

func (s *mariadbServer) facts(ctx context.Context) []fact {
	return []fact{
		{"MariaDB", versionOf(ctx, s.program, "--version")},
		{"sysbench", versionOf(ctx, s.sysbench, "--version")},
	}
}
