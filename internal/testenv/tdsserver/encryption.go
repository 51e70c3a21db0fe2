package tdsserver

import (
	"crypto/tls"
	"errors"
	"io"
	"net"

	"secretless/internal/wire/tds"
)

// transport is a connection that has come as far as its LOGIN7.
type transport struct {
	login io.ReadWriter // what the LOGIN7 comes over
	after io.ReadWriter // what everything else goes over
	tls   *tls.Conn     // nil without TLS
	// encrypted: all of it, not the login alone.
	encrypted, strict bool
	prelogin          tds.Prelogin
}

// errEncryption is a client that this server does not serve.
var errEncryption = errors.New("the client's encryption does not fit")

// negotiate does PRELOGIN and TLS, in the order that the client begins with.
func (s *Server) negotiate(conn net.Conn) (*transport, error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return nil, err
	}
	conn = &pushedBack{Conn: conn, first: first}
	const handshakeRecord = 0x16
	if first[0] == handshakeRecord {
		return s.strict(conn)
	}
	if s.config.Encryption == EncryptionStrict {
		return nil, errEncryption
	}
	if tds.PacketType(first[0]) == tds.TypeLogin7 { // jTDS, when it is told not to encrypt
		if s.config.Encryption == EncryptionRequired {
			return nil, errEncryption
		}
		return &transport{login: conn, after: conn}, nil
	}
	client, err := s.prelogin(conn, s.answer)
	if err != nil {
		return nil, err
	}
	t := &transport{login: conn, after: conn, prelogin: client}
	switch s.answer(client.Encryption()) {
	case tds.EncryptNotSupported:
		if client.Encryption() != tds.EncryptOff && client.Encryption() != tds.EncryptNotSupported {
			return nil, errEncryption
		}
		return t, nil
	case tds.EncryptOff:
		t.tls, err = s.tlsInPrelogin(conn)
		t.login = t.tls
		return t, err
	}
	if client.Encryption() == tds.EncryptNotSupported {
		return nil, errEncryption
	}
	t.tls, err = s.tlsInPrelogin(conn)
	t.login, t.after, t.encrypted = t.tls, t.tls, true
	return t, err
}

// answer is the table of [MS-TDS] 2.2.6.5.
func (s *Server) answer(client tds.Encryption) tds.Encryption {
	switch {
	case s.config.Encryption == EncryptionNotSupported:
		return tds.EncryptNotSupported
	case client == tds.EncryptOn || client == tds.EncryptRequired:
		return tds.EncryptOn
	case s.config.Encryption == EncryptionRequired:
		return tds.EncryptRequired
	case client == tds.EncryptNotSupported:
		return tds.EncryptNotSupported
	}
	return tds.EncryptOff
}

// maxPrelogin bounds a PRELOGIN message.
const maxPrelogin = 4096

// prelogin reads the client's PRELOGIN and answers it.
func (s *Server) prelogin(conn io.ReadWriter, answer func(tds.Encryption) tds.Encryption) (tds.Prelogin, error) {
	m, err := readMessage(conn, maxPrelogin)
	if err != nil {
		return nil, err
	}
	if m.kind != tds.TypePrelogin {
		return nil, errors.New("the client does not begin with PRELOGIN")
	}
	client, err := tds.ParsePrelogin(m.body)
	if err != nil {
		return nil, err
	}
	server := tds.Prelogin{
		{Option: tds.OptionVersion, Data: append(programVersion[:], 0, 0)},
		{Option: tds.OptionEncryption, Data: []byte{byte(answer(client.Encryption()))}},
		{Option: tds.OptionInstance, Data: []byte{0}},
		{Option: tds.OptionThreadID},
		{Option: tds.OptionMARS, Data: []byte{0}},
	}
	w := &packetWriter{dst: conn, size: tds.LoginPacketSize}
	w.write(server.Append(nil))
	return client, w.end()
}

func (s *Server) tlsConfig() *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{*s.config.Certificate}, MinVersion: tls.VersionTLS12}
	if s.config.ClientCAs != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, s.config.ClientCAs
	}
	return c
}

// tlsInPrelogin shakes hands inside PRELOGIN packets; what follows goes bare.
// TLS 1.3 sends more after the handshake, which the packets have no place for:
// here TLS ends with 1.2, as with the real one.
func (s *Server) tlsInPrelogin(conn net.Conn) (*tls.Conn, error) {
	wrapped := tds.NewTLSConn(conn)
	config := s.tlsConfig()
	config.MaxVersion = tls.VersionTLS12
	t := tls.Server(wrapped, config)
	err := t.HandshakeContext(s.ctx)
	wrapped.HandshakeDone()
	return t, err
}

// strict is TDS 8.0: TLS, with ALPN, before anything else.
func (s *Server) strict(conn net.Conn) (*transport, error) {
	if s.config.Certificate == nil {
		return nil, errEncryption
	}
	config := s.tlsConfig()
	config.NextProtos = []string{"tds/8.0"}
	t := tls.Server(conn, config)
	if err := t.HandshakeContext(s.ctx); err != nil {
		return nil, err
	}
	if t.ConnectionState().NegotiatedProtocol != "tds/8.0" {
		return nil, errEncryption
	}
	client, err := s.prelogin(t, func(tds.Encryption) tds.Encryption { return tds.EncryptStrict })
	return &transport{login: t, after: t, tls: t, encrypted: true, strict: true, prelogin: client}, err
}

// pushedBack is a connection whose first byte was looked at.
type pushedBack struct {
	net.Conn
	first []byte
}

func (p *pushedBack) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
