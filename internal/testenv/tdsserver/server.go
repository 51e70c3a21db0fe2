package tdsserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Encryption is what the server wants of clients that begin with PRELOGIN.
type Encryption int

// The settings of encryption. Whatever is set, a client that begins with TLS
// (TDS 8.0) is served if there is a certificate.
const (
	// EncryptionOff leaves the choice to the client: the login alone, or all.
	EncryptionOff Encryption = iota
	// EncryptionRequired encrypts everything and refuses clients that cannot.
	EncryptionRequired
	// EncryptionNotSupported is a server without TLS.
	EncryptionNotSupported
	// EncryptionStrict serves TDS 8.0 alone.
	EncryptionStrict
)

// What the server says it is.
const (
	serverName     = "TDSTEST"
	programName    = "Microsoft SQL Server"
	productVersion = "16.0.4135.4"
	collationName  = "SQL_Latin1_General_CP1_CI_AS"
	versionText    = "Microsoft SQL Server 2022 (tdsserver, a test target; no SQL engine) - 16.0.4135.4 (X64)"
)

// programVersion is the version in PRELOGIN and LOGINACK.
var programVersion = [4]byte{16, 0, 0x10, 0x27}

// loginTimeout bounds everything up to the login's response; writeTimeout what
// a client that does not read can hold.
const (
	loginTimeout = 15 * time.Second
	writeTimeout = time.Minute
)

// Config is a server. The zero value of a field is its default.
type Config struct {
	// Listen is a TCP address; default 127.0.0.1 with a free port.
	Listen     string
	Encryption Encryption
	// Certificate is needed unless Encryption is EncryptionNotSupported.
	Certificate *tls.Certificate
	// ClientCAs, if set, makes a client certificate a condition of TLS.
	ClientCAs *x509.CertPool
	Users     []User
	// Databases exist beside master and tempdb.
	Databases []string
	// RouteTo is the host:port that every good login is sent to instead.
	RouteTo string
}

// Server is a running server; its methods may be called concurrently.
type Server struct {
	config   Config
	listener net.Listener
	routeTo  route
	spids    atomic.Int32
	ctx      context.Context
	stop     context.CancelFunc
	all      sync.WaitGroup

	mu     sync.Mutex
	users  []User
	logins []Login
	conns  map[net.Conn]struct{}
}

type route struct {
	host string
	port uint16
}

// Start listens and serves until Stop.
func Start(config Config) (*Server, error) {
	if config.Certificate == nil && config.Encryption != EncryptionNotSupported {
		return nil, errors.New("a server with encryption needs a certificate")
	}
	s := &Server{config: config, users: slices.Clone(config.Users), conns: map[net.Conn]struct{}{}}
	if config.RouteTo != "" {
		addr, err := net.ResolveTCPAddr("tcp", config.RouteTo)
		if err != nil {
			return nil, fmt.Errorf("route: %w", err)
		}
		host, _, err := net.SplitHostPort(config.RouteTo)
		if err != nil {
			return nil, fmt.Errorf("route: %w", err)
		}
		s.routeTo = route{host, uint16(addr.Port)}
	}
	listen := config.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	s.listener = l
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.spids.Store(50) // below are the real one's own
	s.all.Go(s.accept)
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Stop ends the server and waits for all it has started.
func (s *Server) Stop() {
	s.stop()
	_ = s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// Logins are the logins so far, good and bad, in the order of their arrival.
func (s *Server) Logins() []Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.logins)
}

// LastLogin is the latest of Logins, the zero value if there is none.
func (s *Server) LastLogin() Login {
	if all := s.Logins(); len(all) > 0 {
		return all[len(all)-1]
	}
	return Login{}
}

// SetUser adds an account or replaces the one of that name. Sessions that are
// logged in stay.
func (s *Server) SetUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(slices.DeleteFunc(s.users, func(o User) bool { return strings.EqualFold(o.Name, u.Name) }), u)
}

func (s *Server) user(name string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if strings.EqualFold(u.Name, name) {
			return u, true
		}
	}
	return User{}, false
}

// database finds a database; names are not case-sensitive.
func (s *Server) database(name string) (string, bool) {
	for _, known := range append([]string{"master", "tempdb"}, s.config.Databases...) {
		if strings.EqualFold(known, name) {
			return known, true
		}
	}
	return "", false
}

func (s *Server) name() string { return serverName }

func (s *Server) record(l Login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logins = append(s.logins, l)
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.track(conn) {
			_ = conn.Close()
			return
		}
		s.all.Go(func() {
			defer s.forget(conn)
			s.serve(conn)
		})
	}
}

// track reports false if the server is ending: Stop would not see conn.
func (s *Server) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Server) forget(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// serve is one connection. What goes wrong before a client has logged in ends
// it without a word, as with the real one; afterwards too.
func (s *Server) serve(conn net.Conn) {
	if err := conn.SetDeadline(time.Now().Add(loginTimeout)); err != nil {
		return
	}
	session, err := s.handshake(conn)
	if err != nil || session == nil {
		return
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return
	}
	session.run()
}
