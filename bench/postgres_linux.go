package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// What the private PostgreSQL holds.
const (
	pgbenchScale = 10 // a million accounts: they fit into shared_buffers
	bulkRows     = 220_000
	bulkRowBytes = 1024 // short enough to stay out of TOAST, which would compress it
)

// postgresServer is a private PostgreSQL that demands SCRAM of everyone, on TCP with
// and without TLS, and on a unix socket.
type postgresServer struct {
	listening
	dir string // of the unix socket, too
	bin string
}

// postgresBin finds the directory of the newest installed server's programs.
func postgresBin() (string, error) {
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(installed) > 0 {
		return filepath.Dir(slices.MaxFunc(installed, compareVersions)), nil
	}
	found, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("no PostgreSQL server here, run script/setup: %w", err)
	}
	return filepath.Dir(found), nil
}

// compareVersions orders paths of the form …/<version>/bin/initdb.
func compareVersions(a, b string) int {
	version := func(path string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return number
	}
	return version(a) - version(b)
}

// startPostgres makes a cluster, starts it and fills it.
func startPostgres(ctx context.Context, b *bench) (server, error) {
	owner, dir := b.fleet.owner, filepath.Join(b.dir, "pg")
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &postgresServer{dir: dir, bin: bin, listening: listening{
		connector: "pg", port: port, socket: socketPath(dir, port), password: rand.Text(),
	}}
	if err := s.initialise(ctx, owner); err != nil {
		return nil, err
	}
	s.process, err = owner.start(dir, launch{
		args: []string{filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data")},
		// Immediate shutdown: nothing in it is worth a checkpoint.
		end: syscall.SIGQUIT,
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

// initialise runs initdb and writes the configuration.
func (s *postgresServer) initialise(ctx context.Context, owner account) error {
	if err := owner.makeDir(s.dir); err != nil {
		return fmt.Errorf("PostgreSQL's directory: %w", err)
	}
	data, passwordFile := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "password")
	if err := owner.writeFile(passwordFile, s.password+"\n"); err != nil {
		return fmt.Errorf("PostgreSQL's password file: %w", err)
	}
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", data, "-U", benchUser,
		"--auth=scram-sha-256", "--pwfile="+passwordFile, "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Env = bareEnvironment()
	initdb.Dir = s.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: owner.credential, Pdeathsig: syscall.SIGKILL}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, output)
	}
	private, err := newKey()
	if err != nil {
		return err
	}
	certificate, key, err := selfSigned(private)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"server.crt": certificate, "server.key": key} {
		if err := owner.writeFile(filepath.Join(data, name), content); err != nil {
			return fmt.Errorf("PostgreSQL's certificate: %w", err)
		}
	}
	return s.configure(filepath.Join(data, "postgresql.conf"))
}

// configure keeps the disk out of what is measured.
func (s *postgresServer) configure(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("PostgreSQL's configuration: %w", err)
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, `
listen_addresses = '%s'
port = %d
unix_socket_directories = '%s'
max_connections = 100
shared_buffers = '512MB'
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = '4GB'
autovacuum = off
ssl = on
`, loopback, s.port, s.dir)
	if err != nil {
		return fmt.Errorf("PostgreSQL's configuration: %w", err)
	}
	return nil
}

// fill waits for the server and makes the tables of the loads.
func (s *postgresServer) fill(ctx context.Context) error {
	admin := s.direct(way{network: "tcp"})
	admin.database = "postgres"
	err := s.process.await(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		return pgExecute(ctx, admin, "CREATE DATABASE "+benchDatabase)
	})
	if err != nil {
		return err
	}
	pgbench := exec.CommandContext(ctx, filepath.Join(s.bin, "pgbench"), "-i", "-q", "-s", strconv.Itoa(pgbenchScale), "--unlogged-tables")
	pgbench.Env = append(bareEnvironment(), pgEnvironment(s.direct(way{network: "tcp"}))...)
	pgbench.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if output, err := pgbench.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, output)
	}
	return pgExecute(ctx, s.direct(way{network: "tcp"}), fmt.Sprintf(`
CREATE UNLOGGED TABLE bulk AS
	SELECT n, repeat(md5(n::text), %d) AS filler FROM generate_series(1, %d) n;
CREATE UNLOGGED TABLE bulk_in (LIKE bulk)`, bulkRowBytes/32, bulkRows), "VACUUM ANALYZE")
}

func (s *postgresServer) facts(ctx context.Context) []fact {
	return []fact{{"PostgreSQL, pgbench", versionOf(ctx, filepath.Join(s.bin, "postgres"), "--version")}}
}
