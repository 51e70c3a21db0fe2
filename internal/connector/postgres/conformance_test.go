package postgres

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector/connectortest"
)

func TestConformance(t *testing.T) {
	connectortest.Run(t, connectortest.Suite{
		Definition: Definition(),
		Decode: func(into any) error {
			into.(*Config).AllowCleartext = true
			return nil
		},
		Credentials: func(host, port string) map[string]string {
			return map[string]string{"host": host, "port": port, "username": "app", "sslmode": "disable"}
		},
		Password:    "password",
		Greeting:    plainStartup,
		ServeTarget: func(conn net.Conn, password string, extra []byte) error { return serveTarget(t, conn, password, extra) },
		Login:       loginAs,
	})
}

var errWrongPassword = errors.New("wrong password")

// serveTarget asks for the password in clear text.
func serveTarget(t *testing.T, conn net.Conn, password string, extra []byte) error {
	if _, err := readPacket(conn); err != nil {
		return err
	}
	if _, err := conn.Write(authRequest(pgproto3.AuthTypeCleartextPassword)); err != nil {
		return err
	}
	_, got, err := readMessage(conn)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, append([]byte(password), 0)) {
		_, _ = conn.Write(encode(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "app"`}))
		return errWrongPassword
	}
	_, err = conn.Write(append(welcome(t), extra...))
	return err
}

// loginAs sends a startup packet and waits for ReadyForQuery.
func loginAs(conn net.Conn, early []byte) (net.Conn, error) {
	if _, err := conn.Write(append(bytes.Clone(plainStartup), early...)); err != nil {
		return nil, err
	}
	for {
		kind, body, err := readMessage(conn)
		if err != nil {
			return nil, err
		}
		switch kind {
		case 'Z':
			return conn, nil
		case 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(body); err != nil {
				return nil, err
			}
			return nil, &connectortest.Refusal{Code: e.Code, Text: e.Message}
		}
	}
}
