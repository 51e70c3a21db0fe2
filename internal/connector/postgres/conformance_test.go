package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"

	"secretless/internal/connector/connectortest"
)

func TestConformance(t *testing.T) {
	greeting, err := (&pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersion30,
		Parameters:      map[string]string{"user": "anybody", "database": "app", "application_name": "conformance"},
	}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	connectortest.Run(t, connectortest.Suite{
		Definition: Definition(),
		Credentials: func(host, port string) map[string]string {
			return map[string]string{"host": host, "port": port, "username": "app", "sslmode": "disable"}
		},
		Password:    "password",
		Greeting:    greeting,
		ServeTarget: serveScram,
		Login:       func(c net.Conn, early []byte) (net.Conn, error) { return loginRaw(c, greeting, early) },
	})
}

// serveScram is a server that demands SCRAM-SHA-256.
func serveScram(c net.Conn, password string, extra []byte) error {
	if _, err := readStartupPacket(c); err != nil {
		return err
	}
	if err := sendTo(c, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}); err != nil {
		return err
	}
	first, err := receivePassword(c)
	if err != nil {
		return err
	}
	var initial pgproto3.SASLInitialResponse
	if err := initial.Decode(first); err != nil {
		return err
	}
	conversation, err := scramServer(password)
	if err != nil {
		return err
	}
	challenge, err := conversation.Step(string(initial.Data))
	if err != nil {
		return err
	}
	if err := sendTo(c, &pgproto3.AuthenticationSASLContinue{Data: []byte(challenge)}); err != nil {
		return err
	}
	proof, err := receivePassword(c)
	if err != nil {
		return err
	}
	final, err := conversation.Step(string(proof))
	if err != nil || !conversation.Valid() {
		_ = sendTo(c, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "password authentication failed"})
		return errors.New("wrong password")
	}
	if err := sendTo(c, &pgproto3.AuthenticationSASLFinal{Data: []byte(final)}); err != nil {
		return err
	}
	ready, err := encodeAll(&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "server_version", Value: "18"},
		&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err != nil {
		return err
	}
	_, err = c.Write(append(ready, extra...))
	return err
}

func scramServer(password string) (*scram.ServerConversation, error) {
	client, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		return nil, err
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "conformance salt", Iters: 4096})
	if err != nil {
		return nil, err
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		return nil, err
	}
	return server.NewConversation(), nil
}

func encodeAll(messages ...pgproto3.BackendMessage) (b []byte, err error) {
	for _, m := range messages {
		if b, err = m.Encode(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func sendTo(c net.Conn, m pgproto3.BackendMessage) error {
	b, err := encodeAll(m)
	if err != nil {
		return err
	}
	_, err = c.Write(b)
	return err
}

// readStartupPacket reads one packet of the kind that has no type byte.
func readStartupPacket(c io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, min(binary.BigEndian.Uint32(head[:]), 10_000)-4)
	_, err := io.ReadFull(c, body)
	return body, err
}

func receivePassword(c io.Reader) ([]byte, error) {
	kind, body, err := receive(c)
	if err == nil && kind != 'p' {
		err = fmt.Errorf("message %q, want a password message", kind)
	}
	return body, err
}

func receive(c io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, min(binary.BigEndian.Uint32(head[1:]), 1<<20)-4)
	_, err = io.ReadFull(c, body)
	return head[0], body, err
}

// loginRaw greets and reads up to ReadyForQuery, byte-exact.
func loginRaw(c net.Conn, greeting, early []byte) (net.Conn, error) {
	if _, err := c.Write(append(bytes.Clone(greeting), early...)); err != nil {
		return nil, err
	}
	for {
		kind, body, err := receive(c)
		if err != nil {
			return nil, err
		}
		switch kind {
		case 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(body); err != nil {
				return nil, err
			}
			return nil, &connectortest.Refusal{Code: e.Code, Text: e.Message}
		case 'Z':
			return c, nil
		}
	}
}
