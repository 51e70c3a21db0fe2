// Command mysqlfacade is a MySQL 8 server as far as its login goes:
// caching_sha2_password, sha256_password or mysql_native_password, with TLS or
// without, is the business of go-mysql's server. After the login it connects to
// a MariaDB as the same user, asks for the capabilities that the client has,
// and relays bytes. Tests start it; its settings come as JSON on standard
// input, and it prints the port that it listens on.
package main

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/go-mysql-org/go-mysql/server"
)

// settings is the standard input.
type settings struct {
	Method    string            // the authentication plugin of all users
	FullAuth  bool              // caching_sha2_password caches nothing, so that no login is fast
	Cert, Key string            // PEM; RSA, because the password is encrypted for this key
	Backend   string            // the unix socket of the MariaDB
	Users     map[string]string // passwords by user name, the same in MariaDB
	Keeper    string            // one of Users, to ask for databases as
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mysqlfacade:", err)
		os.Exit(1)
	}
}

func run() error {
	var s settings
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	f, err := newFacade(s)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go f.serve(conn)
	}
}

func newFacade(s settings) (*facade, error) {
	pair, err := tls.X509KeyPair([]byte(s.Cert), []byte(s.Key))
	if err != nil {
		return nil, err
	}
	public, ok := pair.Leaf.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the certificate's key is not RSA")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	f := &facade{settings: s}
	// One for all servers: clients may take up again a TLS session that they
	// had with another, as with MySQL 8.
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	f.newServer = func() *server.Server {
		return server.NewServer("8.0.40", collation, s.Method, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), config)
	}
	f.server = f.newServer()
	return f, nil
}
