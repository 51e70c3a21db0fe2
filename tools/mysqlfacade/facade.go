package main

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"
	"github.com/pingcap/tidb/pkg/parser/charset"
)

// collation is utf8mb4_general_ci, which MariaDB has too.
const collation = 45

// facade serves all connections of the process.
type facade struct {
	settings
	server    *server.Server
	newServer func() *server.Server

	mu     sync.Mutex
	keeper *client.Conn // to find out whether a database exists
}

// CheckUsername and GetCredential are the server's view of the users. Any other
// type than the library's own makes it keep a cache as MySQL does.
func (f *facade) CheckUsername(name string) (bool, error) {
	_, ok := f.Users[name]
	return ok, nil
}

// GetCredential finds a user's password. A user that does not exist gets one
// that nobody has, so that the login goes its whole way before it fails, as
// with MySQL.
func (f *facade) GetCredential(name string) (string, bool, error) {
	password, ok := f.Users[name]
	if !ok {
		password = rand.Text()
	}
	return password, true, nil
}

// initialDatabase takes what the library hands over before the relay starts.
type initialDatabase struct {
	server.EmptyHandler
	facade *facade
	name   string
}

// UseDB is called for the database of HandshakeResponse41, before the login is
// answered, so that its failure can be.
func (d *initialDatabase) UseDB(name string) error {
	d.name = name
	return d.facade.mayUse(name)
}

// mayUse asks MariaDB for a database, over a connection kept for it.
func (f *facade) mayUse(database string) error {
	if database == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keeper == nil || f.keeper.Ping() != nil {
		conn, err := client.Connect(f.Backend, f.Keeper, f.Users[f.Keeper], "")
		if err != nil {
			return err
		}
		f.keeper = conn
	}
	if refusal := (*mysql.MyError)(nil); errors.As(f.keeper.UseDB(database), &refusal) {
		return refusal
	}
	return nil
}

// serve logs a client in and relays until one side ends.
func (f *facade) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	authority := f.server
	if f.FullAuth {
		authority = f.newServer()
	}
	database := &initialDatabase{facade: f}
	front, err := authority.NewCustomizedConn(&greeter{Conn: conn}, f, database)
	if err != nil {
		return // the library has told the client
	}
	back, err := client.Connect(f.Backend, front.GetUser(), f.Users[front.GetUser()], database.name, as(front))
	if err != nil {
		_ = front.WriteValue(err)
		return
	}
	defer func() { _ = back.Close() }()
	// Neither side may speak between the login's OK and here, so the
	// libraries have read nothing ahead.
	go func() {
		_, _ = io.Copy(back.Conn.Conn, front.Conn.Conn)
		_ = back.Close()
	}()
	_, _ = io.Copy(front.Conn.Conn, back.Conn.Conn)
}

// as makes MariaDB's view of the session the client's.
func as(front *server.Conn) client.Option {
	return func(back *client.Conn) error {
		back.SetCapability(front.Capability() & offered)
		back.UnsetCapability(mysql.CLIENT_QUERY_ATTRIBUTES)
		back.SetAttributes(front.Attributes())
		if c, err := charset.GetCollationByID(int(front.Charset())); err == nil {
			return back.SetCollation(c.Name)
		}
		return nil
	}
}
