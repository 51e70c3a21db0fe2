package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// Facade says which MySQL 8 login a test wants in front of MariaDB. Equal
// values share a server.
type Facade struct {
	// Method is the authentication plugin: caching_sha2_password (the
	// default), sha256_password or mysql_native_password.
	Method string
	// FullAuth makes each login with caching_sha2_password a full one.
	// Otherwise a user's first is, and those that follow are fast.
	FullAuth bool
}

// FacadeServer is a server that logs clients in as MySQL 8 does, on 127.0.0.1,
// and relays to a MariaDB of its own choice. It offers TLS with a certificate
// of CA, and an RSA key to those who do without.
type FacadeServer struct {
	Facade
	// Users are MariaDB's accounts Admin, Native and Limited, with its
	// passwords. It knows no other.
	Users *MariaUsers
	CA    *PKI
	Port  int

	*daemon
}

type facades struct {
	shared  map[Facade]*once[*FacadeServer]
	program once[string]
}

// MySQLFacade returns the server that all tests of the process share, in front
// of the shared MariaDB.
func MySQLFacade(t testing.TB, want Facade) *FacadeServer {
	t.Helper()
	backend := want.complete(t)
	return shared(t, sharedBy(env.facade.shared, want), func() (*FacadeServer, error) { return env.newFacade(want, backend) })
}

// NewMySQLFacade starts one for this test alone: its cache is empty.
func NewMySQLFacade(t testing.TB, want Facade) *FacadeServer {
	t.Helper()
	backend := want.complete(t)
	return private(t, func() (*FacadeServer, error) { return env.newFacade(want, backend) })
}

// complete fills in the default method, and finds the server to relay to.
func (want *Facade) complete(t testing.TB) *MariaServer {
	t.Helper()
	if want.Method == "" {
		want.Method = "caching_sha2_password"
	}
	return MariaDB(t, Maria{})
}

func (e *environment) newFacade(want Facade, backend *MariaServer) (*FacadeServer, error) {
	path, err := e.facade.program.get(func() (string, error) { return e.buildTool("mysqlfacade") })
	if err != nil {
		return nil, err
	}
	pair, err := backend.CA.server(CertRSA)
	if err != nil {
		return nil, err
	}
	users := map[string]string{}
	for _, u := range []User{backend.Users.Admin, backend.Users.Native, backend.Users.Limited} {
		users[u.Name] = u.Password
	}
	settings, err := json.Marshal(map[string]any{
		"Method": want.Method, "FullAuth": want.FullAuth, "Cert": pair.CertPEM, "Key": pair.KeyPEM,
		"Backend": backend.Socket(), "Users": users, "Keeper": backend.Users.Admin.Name,
	})
	if err != nil {
		return nil, err
	}
	dir, err := e.newDir("facade")
	if err != nil {
		return nil, err
	}
	f := &FacadeServer{Facade: want, Users: backend.Users, CA: backend.CA}
	f.daemon = newDaemon(dir, service{name: "MySQL facade", ready: f.listens, program: func() (program, error) {
		return program{Path: path, input: string(settings)}, nil
	}})
	return f, f.startSomewhere()
}

// listens reads its port, the only thing that it prints.
func (f *FacadeServer) listens(context.Context) error {
	if _, err := fmt.Sscanf(f.Log(), "%d\n", &f.Port); err != nil {
		return fmt.Errorf("it prints no port: %w", err)
	}
	return nil
}

// TCP is the address on 127.0.0.1.
func (f *FacadeServer) TCP() string { return fmt.Sprintf("127.0.0.1:%d", f.Port) }

// Config is how go-sql-driver/mysql logs in as u over TCP, without TLS.
func (f *FacadeServer) Config(u User) *mysql.Config { return mysqlConfig("tcp", f.TCP(), u) }
