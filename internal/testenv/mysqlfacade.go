package testenv

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

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

	backend *MariaServer
	proc    *process
}

type facades struct {
	shared  map[Facade]*once[*FacadeServer]
	program once[string]
}

// MySQLFacade returns the server that all tests of the process share, in front
// of the shared MariaDB.
func MySQLFacade(t testing.TB, want Facade) *FacadeServer {
	t.Helper()
	if want.Method == "" {
		want.Method = "caching_sha2_password"
	}
	backend := MariaDB(t, Maria{})
	env.mu.Lock()
	shared := sharedBy(env.facade.shared, want)
	env.mu.Unlock()
	f, err := shared.get(func() (*FacadeServer, error) { return env.newFacade(want, backend) })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// NewMySQLFacade starts one for this test alone: its cache is empty.
func NewMySQLFacade(t testing.TB, want Facade) *FacadeServer {
	t.Helper()
	if want.Method == "" {
		want.Method = "caching_sha2_password"
	}
	f, err := env.newFacade(want, MariaDB(t, Maria{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

func (e *environment) newFacade(want Facade, backend *MariaServer) (*FacadeServer, error) {
	program, err := e.facade.program.get(func() (string, error) { return e.buildTool("mysqlfacade") })
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
	f := &FacadeServer{Facade: want, Users: backend.Users, CA: backend.CA, backend: backend}
	if err := f.start(program, settings); err != nil {
		return nil, fmt.Errorf("start the MySQL façade: %w", err)
	}
	e.mu.Lock()
	e.running[f] = struct{}{}
	e.mu.Unlock()
	return f, nil
}

// start runs the program and reads its port, the only thing it prints.
func (f *FacadeServer) start(program string, settings []byte) error {
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(settings), in, os.Stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	f.proc, err = startProcess(cmd)
	_ = in.Close()
	if err != nil {
		return err
	}
	_ = out.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		f.Stop()
		return fmt.Errorf("it prints no port: %w: %s", err, line)
	}
	if _, err := fmt.Sscanf(line, "%d\n", &f.Port); err != nil {
		f.Stop()
		return fmt.Errorf("it prints %q: %w", line, err)
	}
	return nil
}

// Stop ends it and the connections through it. It may be called twice.
func (f *FacadeServer) Stop() { _ = f.proc.stop(10*time.Second, syscall.SIGKILL) }

// TCP is the address on 127.0.0.1.
func (f *FacadeServer) TCP() string { return fmt.Sprintf("127.0.0.1:%d", f.Port) }

// Config is how go-sql-driver/mysql logs in as u over TCP, without TLS.
func (f *FacadeServer) Config(u User) *mysql.Config { return mysqlConfig("tcp", f.TCP(), u) }
