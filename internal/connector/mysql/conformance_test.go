package mysql

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"testing"

	"secretless/internal/connector/connectortest"
	"secretless/internal/wire/mysqlwire"
)

// A client that says nothing looks like one that waits for the greeting, so
// that the default asks an unknown target for it once. The suite wants it not
// to cost anything ever.
func TestConformance(t *testing.T) {
	connectortest.Run(t, connectortest.Suite{
		Definition: Definition(),
		Decode: func(into any) error {
			into.(*Config).Greeting = greetLearned
			return nil
		},
		Credentials: func(host, port string) map[string]string {
			return map[string]string{"host": host, "port": port, "username": "app", "sslmode": "disable"}
		},
		Password:    "password",
		Greeting:    plainResponse().packet(1),
		ServeTarget: serveTarget,
		Login:       loginAs,
	})
}

// The suite's probes are the default's promise; the rest holds for both.
func TestConformanceGreetingOfTarget(t *testing.T) {
	fake := newFakeTarget(t, func(conn net.Conn) { _ = serveTarget(conn, sesame, nil) })
	f := newFront(t, Config{Greeting: greetTarget}, fake.creds())
	conn, err := loginAs(dial(t, f), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

var errWrongPassword = errors.New("wrong password")

// serveTarget is a server with mysql_native_password.
func serveTarget(conn net.Conn, password string, extra []byte) error {
	p := newPeer(conn)
	greeting := targetGreeting()
	if err := p.send(greeting.Append(nil)); err != nil {
		return err
	}
	payload, err := p.next()
	if err != nil {
		return err
	}
	r, err := mysqlwire.ParseHandshakeResponse41(payload)
	if err != nil {
		return err
	}
	if !bytes.Equal(r.AuthResponse, hashNative([]byte(password), greeting.Scramble)) {
		_ = p.send(accessDenied().Append(nil, 2))
		return errWrongPassword
	}
	return p.send(append(mysqlwire.OK{Status: 2}.Append(nil, 2), extra...))
}

// loginAs answers the greeting and waits for the result.
func loginAs(conn net.Conn, early []byte) (net.Conn, error) {
	p := newPeer(conn)
	payload, err := p.next()
	if err != nil {
		return nil, err
	}
	if mysqlwire.KindOf(payload) == mysqlwire.KindERR {
		return nil, refused(payload)
	}
	if _, err := mysqlwire.ParseHandshakeV10(payload); err != nil {
		return nil, err
	}
	if err := p.send(append(plainResponse().packet(1), early...)); err != nil {
		return nil, err
	}
	if payload, err = p.next(); err != nil {
		return nil, err
	}
	if mysqlwire.KindOf(payload) != mysqlwire.KindOK {
		return nil, refused(payload)
	}
	return conn, nil
}

func refused(payload []byte) error {
	e, err := mysqlwire.ParseERR(payload)
	if err != nil {
		return err
	}
	return &connectortest.Refusal{Code: strconv.Itoa(int(e.Number)), Text: e.Message}
}
