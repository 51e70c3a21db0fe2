package testenv

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Maria says which MariaDB server a test wants. Equal values share a server.
type Maria struct {
	// NoTLS makes a server that does not offer TLS.
	NoTLS bool
	// Cert is the certificate it shows otherwise.
	Cert Cert
	// Options are more options of mariadbd, separated by spaces.
	Options string
}

// MariaServer is a running MariaDB server with its own directory, on 127.0.0.1,
// on ::1 where the machine has it, and on a unix socket. Packets may have
// 64 MiB, and LOAD DATA LOCAL INFILE is allowed. Database holds the table
// fruit (id, name) with three rows.
type MariaServer struct {
	Maria
	Users *MariaUsers
	CA    *PKI
	Port  int
	// IPv6 is false where the machine has no ::1.
	IPv6 bool

	dir  string
	mu   sync.Mutex
	proc *process
}

// mariadbServers are those of a test process.
type mariadbServers struct {
	shared   map[Maria]*once[*MariaServer]
	users    once[*MariaUsers]
	template once[string]
}

// MariaDB returns the server that all tests of the process share. Tests must
// leave it as they found it and not stop it.
func MariaDB(t testing.TB, want Maria) *MariaServer {
	t.Helper()
	findMariaDB(t)
	env.mu.Lock()
	shared := sharedBy(env.mariadb.shared, want)
	env.mu.Unlock()
	s, err := shared.get(func() (*MariaServer, error) { return env.newMariaDB(want) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// NewMariaDB starts a server for this test alone, to stop, kill or restart.
func NewMariaDB(t testing.TB, want Maria) *MariaServer {
	t.Helper()
	findMariaDB(t)
	s, err := env.newMariaDB(want)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		_ = os.RemoveAll(s.dir)
	})
	return s
}

const (
	mariadbd  = "/usr/sbin/mariadbd"
	installDB = "/usr/bin/mariadb-install-db"
)

func findMariaDB(t testing.TB) {
	t.Helper()
	for _, program := range []string{mariadbd, installDB} {
		if _, err := os.Stat(program); err != nil {
			require(t, "MariaDB")
		}
	}
}

func (e *environment) newMariaDB(want Maria) (*MariaServer, error) {
	pki, err := e.authority()
	if err != nil {
		return nil, err
	}
	users, _ := e.mariadb.users.get(func() (*MariaUsers, error) { return newMariaUsers(), nil })
	tmpl, err := e.mariadb.template.get(e.mariadbTemplate)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(tmpl), "maria")
	if err != nil {
		return nil, err
	}
	s := &MariaServer{Maria: want, Users: users, CA: pki, dir: dir}
	if err := s.prepare(tmpl); err != nil {
		return nil, fmt.Errorf("prepare MariaDB: %w", err)
	}
	e.mu.Lock()
	e.running[s] = struct{}{}
	e.mu.Unlock()
	return s, s.startSomewhere()
}

// mariadbTemplate is an empty data directory, copied for each server.
func (e *environment) mariadbTemplate() (string, error) {
	base, err := e.baseDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "mariadb")
	if err := ownedDir(dir); err != nil {
		return "", err
	}
	return dir, run("", installDB, append([]string{
		"--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
		"--datadir=" + dir,
	}, mariadbFast...)...)
}

// mariadbFast are the options that make it small and quick: what it loses if
// the machine stops is of no interest.
var mariadbFast = []string{
	"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--skip-log-bin",
	"--innodb-buffer-pool-size=32M", "--innodb-log-file-size=32M", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=8M",
	"--skip-performance-schema",
}

// prepare copies the template and writes the files that make the variant.
func (s *MariaServer) prepare(tmpl string) error {
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return err
	}
	if err := own(s.dir); err != nil {
		return err
	}
	if err := run("", "cp", "-Rp", tmpl, s.data()); err != nil {
		return err
	}
	files := map[string]string{"users.sql": s.Users.sql()}
	if !s.NoTLS {
		pair, err := s.CA.server(s.Cert)
		if err != nil {
			return err
		}
		files["server.crt"], files["server.key"], files["ca.crt"] = pair.CertPEM, pair.KeyPEM, s.CA.CAPEM
	}
	for name, text := range files {
		if err := ownedFile(filepath.Join(s.dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

func (s *MariaServer) options() []string {
	file := func(name string) string { return filepath.Join(s.dir, name) }
	options := slices.Concat([]string{
		"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.dir, "--socket=" + s.Socket(), "--pid-file=" + file("pid"),
		"--init-file=" + file("users.sql"), "--plugin-load-add=auth_ed25519", "--skip-name-resolve", "--max-connections=400",
		"--max-allowed-packet=64M", "--local-infile=ON", "--skip-log-error", "--character-set-server=utf8mb4",
	}, mariadbFast)
	if s.NoTLS {
		options = append(options, "--skip-ssl")
	} else {
		options = append(options, "--ssl-cert="+file("server.crt"), "--ssl-key="+file("server.key"), "--ssl-ca="+file("ca.crt"),
			"--tls-version=TLSv1.2,TLSv1.3")
	}
	return append(options, strings.Fields(s.Options)...)
}

func (s *MariaServer) data() string    { return filepath.Join(s.dir, "data") }
func (s *MariaServer) logFile() string { return filepath.Join(s.dir, "log") }

// TCP is the address on 127.0.0.1.
func (s *MariaServer) TCP() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Socket is the path of the unix socket.
func (s *MariaServer) Socket() string { return filepath.Join(s.dir, "mysql.sock") }

// Log is what the server has logged so far.
func (s *MariaServer) Log() string {
	b, _ := os.ReadFile(s.logFile())
	return string(b)
}

// Config is how go-sql-driver/mysql logs in as u over TCP, without TLS.
func (s *MariaServer) Config(u User) *mysql.Config { return mysqlConfig("tcp", s.TCP(), u) }

func mysqlConfig(network, address string, u User) *mysql.Config {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User, c.Passwd = network, address, Database, u.Name, u.Password
	c.Timeout = 10 * time.Second
	c.Logger = &mysql.NopLogger{}
	return c
}

// MySQLTLS verifies a server's certificate by pki, and shows pair if it is not
// empty.
func (p *PKI) MySQLTLS(t testing.TB, pair KeyPair) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(p.CAPEM))
	c := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if pair.CertPEM != "" {
		cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c
}

// Connect is a database handle for c with one connection, logged in already;
// it closes with the test.
func Connect(t testing.TB, c *mysql.Config) (*sql.DB, error) {
	t.Helper()
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return db, db.PingContext(ctx)
}

// Exec runs statements as the administrator, each in turn.
func (s *MariaServer) Exec(t testing.TB, statements ...string) {
	t.Helper()
	db, err := Connect(t, mysqlConfig("unix", s.Socket(), s.Users.Admin))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
