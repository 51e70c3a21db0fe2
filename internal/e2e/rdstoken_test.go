//go:build unix

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/testenv"
	"secretless/internal/testenv/awsserver"
	"secretless/internal/wire/mysqlwire"
)

// tokenDatabase logs in as RDS does: it asks for the password in clear text,
// inside TLS alone, and verifies that it is a token for user and host.
type tokenDatabase struct {
	aws   *awsserver.Server
	tls   *tls.Config
	serve func(*tokenDatabase, net.Conn) error

	mu     sync.Mutex
	tokens []string // accepted
	errs   []error
}

func startTokenDatabase(t *testing.T, aws *awsserver.Server, serve func(*tokenDatabase, net.Conn) error) (*tokenDatabase, int) {
	t.Helper()
	pair := testenv.CA(t).Server(t, testenv.CertECDSA)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	d := &tokenDatabase{aws: aws, tls: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, serve: serve}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { d.one(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		served.Wait()
	})
	return d, l.Addr().(*net.TCPAddr).Port
}

func (d *tokenDatabase) one(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := d.serve(d, conn); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.errs = append(d.errs, err)
	}
}

func (d *tokenDatabase) accepts(user, token string) bool {
	login, err := d.aws.CheckToken(token, time.Now())
	if err != nil || login.User != user || login.Host != rdsHost {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens = append(d.tokens, token)
	return true
}

func postgresByToken(d *tokenDatabase, conn net.Conn) error {
	if m, err := pgproto3.NewBackend(conn, conn).ReceiveStartupMessage(); err != nil {
		return err
	} else if _, ok := m.(*pgproto3.SSLRequest); !ok {
		return fmt.Errorf("no TLS but %T", m)
	}
	if _, err := conn.Write([]byte("S")); err != nil {
		return err
	}
	conn = tls.Server(conn, d.tls)
	b := pgproto3.NewBackend(conn, conn)
	m, err := b.ReceiveStartupMessage()
	startup, ok := m.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return fmt.Errorf("no startup message: %w", err)
	}
	b.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := errors.Join(b.Flush(), b.SetAuthType(pgproto3.AuthTypeCleartextPassword)); err != nil {
		return err
	}
	answer, err := b.Receive()
	password, ok := answer.(*pgproto3.PasswordMessage)
	switch {
	case err != nil || !ok:
		return fmt.Errorf("no password: %w", err)
	case !d.accepts(startup.Parameters["user"], password.Password):
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: "PAM authentication failed"})
		return b.Flush()
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err := b.Flush(); err != nil {
		return err
	}
	_, _ = b.Receive() // the client's goodbye
	return nil
}

func mysqlByToken(d *tokenDatabase, conn net.Conn) error {
	const capabilities = mysqlwire.ClientLongPassword | mysqlwire.ClientConnectWithDB | mysqlwire.ClientProtocol41 | mysqlwire.ClientSSL |
		mysqlwire.ClientTransactions | mysqlwire.ClientSecureConnection | mysqlwire.ClientPluginAuth | mysqlwire.ClientPluginAuthLenencClientData
	greeting := mysqlwire.HandshakeV10{
		ServerVersion: "8.0.40", ConnectionID: 1, Scramble: []byte("01234567890123456789"), Capabilities: capabilities,
		Charset: 45, Status: 2, Plugin: "mysql_native_password",
	}
	if _, err := conn.Write(greeting.Append(nil)); err != nil {
		return err
	}
	if payload, err := nextPacket(conn); err != nil {
		return err
	} else if !mysqlwire.IsSSLRequest(payload) {
		return errors.New("a login without TLS")
	}
	conn = tls.Server(conn, d.tls)
	payload, err := nextPacket(conn)
	if err != nil {
		return err
	}
	response, err := mysqlwire.ParseHandshakeResponse41(payload)
	if err != nil {
		return err
	}
	if _, err := conn.Write(mysqlwire.AuthSwitchRequest{Plugin: "mysql_clear_password"}.Append(nil, 3)); err != nil {
		return err
	}
	password, err := nextPacket(conn)
	if err != nil {
		return err
	}
	token, terminated := strings.CutSuffix(string(password), "\x00")
	if !terminated || !d.accepts(response.User, token) {
		_, err := conn.Write(mysqlwire.ERR{Number: 1045, State: "28000", Message: "Access denied for user"}.Append(nil, 5))
		return err
	}
	for sequence := byte(5); ; sequence = 1 { // whatever is asked is done
		if _, err := conn.Write(mysqlwire.OK{Status: 2}.Append(nil, sequence)); err != nil {
			return err
		}
		if command, err := nextPacket(conn); err != nil || command[0] == 1 { // COM_QUIT
			return nil
		}
	}
}

func nextPacket(conn net.Conn) ([]byte, error) {
	header := make([]byte, mysqlwire.HeaderSize)
	if _, err := io.ReadFull(conn, header); err != nil {
		return nil, err
	}
	length, _, err := mysqlwire.ParseHeader(header)
	if err != nil || length == 0 {
		return nil, fmt.Errorf("a packet of %d bytes: %w", length, err)
	}
	payload := make([]byte, length)
	_, err = io.ReadFull(conn, payload)
	return payload, err
}

// A login with a token, through both connectors, at servers that verify it; and
// again when AWS does not know the token's key any more.
func TestTokenOfRDS(t *testing.T) {
	for connector, c := range map[string]struct {
		serve   func(*tokenDatabase, net.Conn) error
		socket  string
		connect func(*testing.T, *running) error
		refused string
	}{
		"pg": {postgresByToken, ".s.PGSQL.5432", func(t *testing.T, r *running) error {
			conn, err := pgx.Connect(t.Context(), r.socketDSN())
			if err == nil {
				_ = conn.Close(context.Background())
			}
			return err
		}, "PAM authentication failed"},
		"mysql": {mysqlByToken, "mysql.sock", func(t *testing.T, r *running) error {
			_, err := testenv.Connect(t, r.place("").overSocket())
			return err
		}, "Access denied for user"},
	} {
		t.Run(connector, func(t *testing.T) {
			r := prepare(t)
			d, port := startTokenDatabase(t, amazon(t, r.env), c.serve)
			r.run(fmt.Sprintf(`version: "2"
services:
  db:
    connector: %s
    listenOn: unix://%s/%s
    credentials:
      host: 127.0.0.1
      port: %d
      username: app
      password: { from: aws-rds-iam, get: "app@%s" }
      sslmode: verify-full
      sslrootcert: { from: file, get: %s }
`, connector, r.dir, c.socket, port, rdsHost, testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)))
			for range 3 {
				if err := c.connect(t, r); err != nil {
					t.Fatalf("%v\n%s", err, r.log)
				}
			}
			d.aws.AddKey(awsserver.Key{ID: awsKeyID, Secret: "another"}) // the cached token is refused, and so is a fresh one
			if err := c.connect(t, r); err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("with a key that AWS does not know: %v", err)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.tokens) < 3 || d.tokens[0] != d.tokens[2] {
				t.Errorf("%d logins; the token is not cached", len(d.tokens))
			}
			for _, token := range append(d.tokens, awsKeySecret) {
				if r.log.has(token) {
					t.Error("a token or key is in the log")
				}
			}
			for _, err := range d.errs {
				t.Error(err)
			}
		})
	}
}
