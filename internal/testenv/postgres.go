package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PG says which PostgreSQL server a test wants. Equal values share a server.
type PG struct {
	// Version is 15 (the default), 17 or 18.
	Version int
	// NoTLS makes a server that answers SSLRequest with N.
	NoTLS bool
	// Cert is the certificate it shows otherwise.
	Cert Cert
	// AnyRole lets every role in by SCRAM that has no way of its own: those that
	// come and go.
	AnyRole bool
	// Settings are more lines of postgresql.conf.
	Settings string
}

// Server is a running PostgreSQL server. Every way to log in of Users is open
// on 127.0.0.1, ::1 and the unix socket.
type Server struct {
	PG
	Users *Users
	CA    *PKI
	Port  int
	// IPv6 is false where the machine has no ::1.
	IPv6 bool

	*daemon
	bin string
}

// Postgres returns the server that all tests of the process share. Tests must
// leave it as they found it and not stop it.
func Postgres(t testing.TB, want PG) *Server {
	t.Helper()
	bin := want.find(t)
	return shared(t, sharedBy(env.postgres, want), func() (*Server, error) { return env.newServer(want, bin) })
}

// NewPostgres starts a server for this test alone, to stop, kill or restart.
func NewPostgres(t testing.TB, want PG) *Server {
	t.Helper()
	bin := want.find(t)
	return private(t, func() (*Server, error) { return env.newServer(want, bin) })
}

// find completes the version and finds its programs.
func (want *PG) find(t testing.TB) string {
	t.Helper()
	if want.Version == 0 {
		want.Version = 15
	}
	bin, ok := binDir(want.Version)
	if !ok {
		require(t, fmt.Sprintf("PostgreSQL %d", want.Version))
	}
	return bin
}

func (e *environment) newServer(want PG, bin string) (*Server, error) {
	pki, err := e.authority()
	if err != nil {
		return nil, err
	}
	tmpl, err := e.initialised(want.Version, bin)
	if err != nil {
		return nil, err
	}
	dir, err := e.newDir("pg")
	if err != nil {
		return nil, err
	}
	s := &Server{PG: want, Users: e.roles(), CA: pki, IPv6: hasIPv6(), bin: bin}
	s.daemon = newDaemon(dir, service{
		name: fmt.Sprintf("PostgreSQL %d", want.Version), ports: []*int{&s.Port}, ipv6: s.IPv6, asServerUser: true,
		program: s.program, ready: s.answers, killed: s.forgetSharedMemory,
		// As `pg_ctl stop -m fast` does: SIGTERM would wait for the clients.
		ask: syscall.SIGINT,
	})
	if err := s.prepare(tmpl); err != nil {
		return nil, fmt.Errorf("prepare PostgreSQL %d: %w", want.Version, err)
	}
	return s, s.startSomewhere()
}

// prepare copies the template and writes the files that make the variant.
func (s *Server) prepare(tmpl string) error {
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return err
	}
	if err := own(s.dir); err != nil {
		return err
	}
	if err := run("", "cp", "-Rp", filepath.Join(tmpl, "data"), s.data()); err != nil {
		return err
	}
	files := map[string]string{"pg_hba.conf": s.Users.hba(), "postgresql.auto.conf": s.settings()}
	if s.AnyRole {
		files["pg_hba.conf"] += "host all all samehost scram-sha-256\n"
	}
	if s.NoTLS {
		// A server without TLS refuses a file with rules about TLS.
		files["pg_hba.conf"] = withoutTLSRules(files["pg_hba.conf"])
	} else {
		pair, err := s.CA.server(s.Cert)
		if err != nil {
			return err
		}
		files["server.crt"], files["server.key"], files["ca.crt"] = pair.CertPEM, pair.KeyPEM, s.CA.CAPEM
	}
	for name, text := range files {
		if err := ownedFile(filepath.Join(s.data(), name), text); err != nil {
			return err
		}
	}
	return nil
}

func withoutTLSRules(hba string) string {
	var kept []string
	for line := range strings.Lines(hba) {
		if !strings.HasPrefix(line, "hostssl ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func (s *Server) settings() string {
	tls := "ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.crt'\n"
	if s.NoTLS {
		tls = "ssl = off\n"
	}
	return `fsync = off
full_page_writes = off
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
max_connections = 400
wal_level = logical
max_wal_senders = 10
max_replication_slots = 10
autovacuum = off
log_min_messages = warning
unix_socket_permissions = 0777
` + tls + s.Settings + "\n"
}

func (s *Server) data() string { return s.file("data") }

// TCP is the address on 127.0.0.1.
func (s *Server) TCP() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// TCP6 is the address on ::1; see IPv6.
func (s *Server) TCP6() string { return fmt.Sprintf("[::1]:%d", s.Port) }

// SocketDir is the directory of the unix socket, as libpq's host takes it.
func (s *Server) SocketDir() string { return s.dir }

// Socket is the path of the unix socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, fmt.Sprintf(".s.PGSQL.%d", s.Port)) }

// DSN is a key=value connection string over 127.0.0.1 without TLS, for libpq,
// pgx and lib/pq alike. Later options override: DSN(u, "sslmode=require").
func (s *Server) DSN(u User, options ...string) string {
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d dbname=%s sslmode=disable connect_timeout=10 user=%s", s.Port, Database, u.Name)
	if u.Password != "" {
		dsn += " password=" + u.Password
	}
	return strings.Join(append([]string{dsn}, options...), " ")
}

// Connect logs in as the administrator; the connection closes with the test.
func (s *Server) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.DSN(s.Users.Admin, "host="+s.SocketDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// Exec runs statements as the administrator.
func (s *Server) Exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := s.Connect(t).Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
