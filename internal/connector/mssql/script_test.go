package mssql

import (
	"errors"
	"io"
	"net"
	"testing"

	"secretless/internal/connector/connectortest"
	"secretless/internal/wire/tds"
)

// The PRELOGIN and LOGIN7 of an ordinary client.

func clientPrelogin(encryption tds.Encryption, mars byte) []byte {
	body := tds.Prelogin{
		{Option: tds.OptionVersion, Data: []byte{1, 11, 0, 0, 0, 0}},
		{Option: tds.OptionEncryption, Data: []byte{byte(encryption)}},
		{Option: tds.OptionInstance, Data: []byte{0}},
		{Option: tds.OptionThreadID, Data: []byte{0, 0, 0, 9}},
		{Option: tds.OptionMARS, Data: []byte{mars}},
	}.Append(nil)
	return tds.AppendMessage(nil, tds.TypePrelogin, 0, tds.LoginPacketSize, body)
}

func clientLogin() tds.Login7 {
	return tds.Login7{
		TDSVersion: tds.Version74, PacketSize: 4096, OptionFlags1: 0xA0,
		HostName: tds.MakeText("laptop"), UserName: tds.MakeText("nobody"), AppName: tds.MakeText("test"),
		ServerName: tds.MakeText("127.0.0.1"), Database: tds.MakeText("app"),
	}
}

func loginMessage(l tds.Login7) []byte {
	body, err := l.Append(nil)
	if err != nil {
		return nil
	}
	return tds.AppendMessage(nil, tds.TypeLogin7, 0, tds.LoginPacketSize, body)
}

// readReply reads one message of the server's, and nothing behind it.
func readReply(conn net.Conn) ([]byte, error) {
	return readBody(conn, tds.TypeReply)
}

func readBody(conn net.Conn, want tds.PacketType) ([]byte, error) {
	var body []byte
	for {
		head := make([]byte, tds.HeaderSize)
		if _, err := io.ReadFull(conn, head); err != nil {
			return nil, err
		}
		h, err := tds.ParseHeader(head)
		if err != nil {
			return nil, err
		}
		if h.Type != want {
			return nil, errors.New("a packet of another type")
		}
		part := make([]byte, int(h.Length)-tds.HeaderSize)
		if _, err := io.ReadFull(conn, part); err != nil {
			return nil, err
		}
		if body = append(body, part...); h.Last() {
			return body, nil
		}
	}
}

// loginAs plays a client up to the answer to its login.
func loginAs(conn net.Conn, early []byte) (net.Conn, error) {
	return loginWith(conn, clientLogin(), early)
}

func loginWith(conn net.Conn, l tds.Login7, early []byte) (net.Conn, error) {
	if _, err := conn.Write(clientPrelogin(tds.EncryptOff, 0)); err != nil {
		return nil, err
	}
	body, err := readReply(conn)
	if err != nil {
		return nil, err
	}
	// A client has no way to read an error here: it must be a PRELOGIN.
	answer, err := tds.ParsePrelogin(body)
	if err != nil {
		return nil, asRefusal(body, l.TDSVersion)
	}
	if answer.Encryption() != tds.EncryptNotSupported {
		return nil, errors.New("encryption where the listener has none")
	}
	if _, err := conn.Write(append(loginMessage(l), early...)); err != nil {
		return nil, err
	}
	if body, err = readReply(conn); err != nil {
		return nil, err
	}
	response, err := tds.ParseLoginResponse(body, l.TDSVersion)
	switch {
	case err != nil:
		return nil, err
	case response.Ack == nil:
		return nil, asRefusal(body, l.TDSVersion)
	}
	return conn, nil
}

// asRefusal is the first error in a server's message.
func asRefusal(body []byte, version uint32) error {
	response, err := tds.ParseLoginResponse(body, version)
	if err != nil {
		return err
	}
	if len(response.Errors) == 0 {
		return errors.New("neither LOGINACK nor an error")
	}
	e := response.Errors[0]
	return &connectortest.Refusal{Code: itoa(e.Number), Text: e.Message}
}

// The target's side.

func serverPrelogin(encryption tds.Encryption, mars byte) []byte {
	body := tds.Prelogin{
		{Option: tds.OptionVersion, Data: []byte{15, 0, 7, 208, 0, 0}},
		{Option: tds.OptionEncryption, Data: []byte{byte(encryption)}},
		{Option: tds.OptionInstance, Data: []byte{0}},
		{Option: tds.OptionMARS, Data: []byte{mars}},
	}.Append(nil)
	return tds.AppendMessage(nil, tds.TypeReply, 0, tds.LoginPacketSize, body)
}

// welcome is the answer to a login that was accepted.
func welcome(version uint32) []byte {
	wide := tds.Wide(version)
	body := tds.AppendEnvText(nil, tds.EnvDatabase, "app", "master")
	body = tds.ServerError{Number: 5701, State: 2, Class: 0, Message: "Changed database context to 'app'.", ServerName: "double", LineNumber: 1}.Append(body, tds.TokenInfo, wide)
	body = tds.LoginAck{Interface: 1, TDSVersion: version, ProgName: "Microsoft SQL Server", ProgVer: [4]byte{15, 0, 7, 208}}.Append(body)
	body = tds.AppendEnvText(body, tds.EnvPacketSize, "4096", "4096")
	return reply(tds.AppendDone(body, tds.TokenDone, 0, 0, 0, wide))
}

func reply(body []byte) []byte {
	return tds.AppendMessage(nil, tds.TypeReply, 51, tds.LoginPacketSize, body)
}

// sorry is the answer to a login that was refused.
func sorry(errs ...tds.ServerError) []byte {
	var body []byte
	for _, e := range errs {
		body = e.Append(body, tds.TokenError, true)
	}
	return reply(tds.AppendDone(body, tds.TokenDone, tds.DoneError, 0, 0, true))
}

var loginFailed = tds.ServerError{Number: 18456, State: 1, Class: 14, Message: "Login failed for user 'app'.", ServerName: "double", LineNumber: 1}

// readLogin plays the target up to the client's LOGIN7.
func readLogin(conn net.Conn) (tds.Login7, error) {
	if _, err := readBody(conn, tds.TypePrelogin); err != nil {
		return tds.Login7{}, err
	}
	if _, err := conn.Write(serverPrelogin(tds.EncryptNotSupported, 0)); err != nil {
		return tds.Login7{}, err
	}
	body, err := readBody(conn, tds.TypeLogin7)
	if err != nil {
		return tds.Login7{}, err
	}
	return tds.ParseLogin7(body)
}

// answering is a script that reads the login and sends text.
func answering(text []byte) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := readLogin(conn); err == nil {
			_, _ = conn.Write(text)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// saying is a script that reads PRELOGIN and sends text.
func saying(text []byte) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := readBody(conn, tds.TypePrelogin); err == nil {
			_, _ = conn.Write(text)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// fakeTarget is a scripted target.
type fakeTarget struct{ *connectortest.Scripted }

func newFakeTarget(t *testing.T, script func(conn net.Conn)) *fakeTarget {
	t.Helper()
	return &fakeTarget{connectortest.NewScripted(t, script)}
}

const testPassword = "sesame-8731 Ω"

func (f *fakeTarget) creds(more ...string) map[string]string { return f.Creds(testPassword, more...) }
