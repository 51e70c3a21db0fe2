package mssql

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"secretless/internal/connector/connectortest"
	"secretless/internal/wire/tds"
)

func itoa(n int32) string { return strconv.Itoa(int(n)) }

func TestConformance(t *testing.T) {
	connectortest.Run(t, connectortest.Suite{
		Definition: Definition(),
		Credentials: func(host, port string) map[string]string {
			return map[string]string{"host": host, "port": port, "username": "app", "sslmode": "disable"}
		},
		Password:    "password",
		Greeting:    clientPrelogin(tds.EncryptOff, 0),
		ServeTarget: serveTarget,
		Login:       loginAs,
	})
}

var errWrongPassword = errors.New("wrong password")

func serveTarget(conn net.Conn, password string, extra []byte) error {
	l, err := readLogin(conn)
	if err != nil {
		return err
	}
	if tds.RevealPassword(l.Password).String() != password {
		_, _ = conn.Write(sorry(loginFailed))
		return errWrongPassword
	}
	_, err = conn.Write(append(welcome(l.TDSVersion), extra...))
	return err
}
