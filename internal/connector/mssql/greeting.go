package mssql

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/readahead"
	"secretless/internal/wire/tds"
)

const (
	// tlsHandshake is the first byte of a TLS ClientHello.
	tlsHandshake = 0x16
	// maxPrelogin bounds a PRELOGIN message; drivers' own are below 200 bytes.
	maxPrelogin = 4 << 10
	// maxLoginMessage is LOGIN7 at its longest with the headers of its packets.
	maxLoginMessage = tds.MaxLogin7 + 4<<10
)

// greeting reads what a client says first.
type greeting struct {
	session   *connector.Session
	in        *readahead.Buffer
	known     facts
	encrypted bool
}

// opening is what a client wants. It borrows from the greeting's reader.
type opening struct {
	prelogin tds.Prelogin
	// mars is what the client was promised.
	mars  bool
	login tds.Login7
}

// read answers the client's PRELOGIN and returns with its LOGIN7; with neither
// opening nor error for a probe.
func (g *greeting) read() (*opening, error) {
	first, err := g.in.Peek(1)
	if err != nil {
		return nil, nil // a probe: it left, or said nothing in time
	}
	if first[0] == tlsHandshake {
		if err := g.strict(); err != nil {
			return nil, err
		}
		if first, err = g.in.Peek(1); err != nil {
			return nil, lost(err)
		}
	}
	var client opening
	// TDS 7.0 has no PRELOGIN.
	if tds.PacketType(first[0]) != tds.TypeLogin7 {
		if err := g.prelogin(&client); err != nil {
			return nil, err
		}
	}
	if !g.trusted() {
		return nil, coded(numberUnsupported, connector.KindProtocol, "this service demands TLS with a client certificate; the driver must offer both")
	}
	m, err := tds.ReadMessage(g.in, tds.TypeLogin7, maxLoginMessage)
	if err != nil {
		return nil, unread("LOGIN7", err)
	}
	if client.login, err = tds.ParseLogin7(m.Body); err != nil {
		return nil, unread("LOGIN7", err)
	}
	return &client, nil
}

func (g *greeting) prelogin(client *opening) error {
	m, err := tds.ReadMessage(g.in, tds.TypePrelogin, maxPrelogin)
	if err != nil {
		return unread("PRELOGIN", err)
	}
	// A copy: the reader's memory is used again for LOGIN7.
	client.prelogin, err = tds.ParsePrelogin(append([]byte(nil), m.Body...))
	if err != nil {
		return unread("PRELOGIN", err)
	}
	client.mars = g.known.mars && client.prelogin.MARS()
	encryption := g.encryption(client.prelogin.Encryption())
	upgrade := !g.encrypted && (encryption == tds.EncryptOn || encryption == tds.EncryptRequired && client.prelogin.Encryption() != tds.EncryptNotSupported)
	if upgrade && g.in.Buffered() > 0 {
		return database.Untold(connector.KindProtocol, errors.New("received unencrypted data after PRELOGIN; a faulty client or somebody in the middle"))
	}
	body := g.known.answer(client.prelogin, encryption).Append(nil)
	if _, err := g.session.Client.Write(tds.AppendMessage(nil, tds.TypeReply, 0, tds.LoginPacketSize, body)); err != nil {
		return database.ClientGone(err)
	}
	if upgrade {
		return g.upgrade()
	}
	return nil
}

// encryption is the answer to a client that wants asked: [MS-TDS] 2.2.6.5, for
// a server that encrypts everything or has no encryption.
func (g *greeting) encryption(asked tds.Encryption) tds.Encryption {
	switch {
	case g.encrypted:
		return tds.EncryptOn // TLS is there; nothing is asked for
	case g.session.ClientTLS == nil:
		return tds.EncryptNotSupported
	case asked == tds.EncryptOff:
		return tds.EncryptRequired // the whole session, not the login alone
	case asked != tds.EncryptNotSupported:
		return tds.EncryptOn
	case !g.trusted():
		return tds.EncryptRequired
	}
	return tds.EncryptNotSupported
}

// trusted says whether the client has shown the certificate that the listener
// demands, if it demands one.
func (g *greeting) trusted() bool {
	config := g.session.ClientTLS
	return g.encrypted || config == nil ||
		config.ClientAuth != tls.RequireAnyClientCert && config.ClientAuth != tls.RequireAndVerifyClientCert
}

// unread is the failure for an error of reading one of the client's messages.
func unread(message string, err error) error {
	if e, ok := errors.AsType[*tds.Error](err); ok {
		number := int32(numberPrelogin)
		if message == "LOGIN7" {
			number = numberLogin
		}
		return coded(number, connector.KindProtocol, fmt.Sprintf("the client's %s is malformed (%s); does it speak TDS 7?", message, e))
	}
	return lost(err)
}

// lost is the failure for a client that did not get to the end of its login.
func lost(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return database.Failure(connector.KindClientGone, "the client closed the connection before its login was complete")
	case database.IsTimeout(err):
		return database.Failure(connector.KindTimeout, "the client did not complete its login in time")
	}
	return database.Failure(connector.KindClientGone, "reading the client's login: %w", err)
}
