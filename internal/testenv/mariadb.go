package testenv

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"os"
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

	*daemon
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
	return shared(t, sharedBy(env.mariadb.shared, want), func() (*MariaServer, error) { return env.newMariaDB(want) })
}

// NewMariaDB starts a server for this test alone, to stop, kill or restart.
func NewMariaDB(t testing.TB, want Maria) *MariaServer {
	t.Helper()
	findMariaDB(t)
	return private(t, func() (*MariaServer, error) { return env.newMariaDB(want) })
}

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
	dir, err := e.newDir("maria")
	if err != nil {
		return nil, err
	}
	s := &MariaServer{Maria: want, Users: users, CA: pki, IPv6: hasIPv6()}
	s.daemon = newDaemon(dir, service{
		name: "MariaDB", ports: []*int{&s.Port}, ipv6: s.IPv6, asServerUser: true, program: s.program, ready: s.answers,
	})
	if err := s.prepare(tmpl); err != nil {
		return nil, fmt.Errorf("prepare MariaDB: %w", err)
	}
	return s, s.startSomewhere()
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
		if err := ownedFile(s.file(name), text); err != nil {
			return err
		}
	}
	return nil
}

func (s *MariaServer) data() string { return s.file("data") }

// TCP is the address on 127.0.0.1.
func (s *MariaServer) TCP() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Socket is the path of the unix socket.
func (s *MariaServer) Socket() string { return s.file("mysql.sock") }

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
