package tdsserver

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"secretless/internal/wire/tds"
)

const (
	featureFedAuth = 0x02
	featureUTF8    = 0x0A

	// maxEncryptedPacket is the largest packet over TLS.
	maxEncryptedPacket = 16383
	minPacket          = 512
	maxPacket          = 32767
)

// handshake does everything up to the login's response. There is no session if
// the login was refused or sent elsewhere.
func (s *Server) handshake(conn net.Conn) (*session, error) {
	t, err := s.negotiate(conn)
	if err != nil {
		return nil, err
	}
	m, err := readMessage(t.login, tds.MaxLogin7)
	if err != nil {
		return nil, err
	}
	if m.kind != tds.TypeLogin7 {
		return nil, errors.New("no LOGIN7 follows PRELOGIN")
	}
	login, password, err := parseLogin7(m.body)
	if err != nil {
		return nil, err
	}
	login.Encrypted, login.Strict = t.tls != nil, t.strict
	login.Prelogin = byte(t.prelogin.Encryption())
	if t.tls != nil {
		if certs := t.tls.ConnectionState().PeerCertificates; len(certs) > 0 {
			login.ClientCert = certs[0].Subject.CommonName
		}
	}
	session := s.newSession(conn, t, login)
	refused := s.refuse(&session.login, password, session)
	if len(refused) > 0 {
		session.login.Err = refused[0].number
	}
	s.record(session.login)
	if len(refused) > 0 {
		return nil, session.refused(refused)
	}
	if s.routeTo.host != "" {
		return nil, session.routed(s.routeTo)
	}
	return session, session.welcome()
}

func (s *Server) newSession(conn net.Conn, t *transport, login Login) *session {
	size := login.PacketSize
	if size == 0 {
		size = tds.LoginPacketSize
	}
	limit := maxPacket
	if t.encrypted {
		limit = maxEncryptedPacket
	}
	version := login.TDSVersion
	switch {
	case t.strict:
		version = tds80
	case version >= tds74:
		version = tds74
	}
	return &session{
		server: s, conn: conn, stream: t.after, login: login, version: version, encrypted: t.encrypted,
		packetSize: min(max(size, minPacket), limit), spid: uint16(s.spids.Add(1)),
		language: "us_english", prepared: map[int64]prepared{},
	}
}

// refuse checks a login and fills the session, or says why not.
func (s *Server) refuse(login *Login, password string, to *session) []sqlError {
	user, known := s.user(login.UserName)
	switch {
	case login.Integrated:
		return []sqlError{{18452, 14, 1, "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."}}
	case slices.Contains(login.Features, featureFedAuth), !known:
		return []sqlError{loginFailed(login.UserName)}
	case login.TDSVersion < tds71 && login.TDSVersion != tds80:
		return []sqlError{{17832, 20, 18, "The login packet used to open the connection is structurally invalid; the connection has been closed."}}
	}
	if refused := user.refuse(password); refused != nil {
		return refused
	}
	to.user, to.database = user.Name, "master"
	if login.Database != "" {
		database, ok := s.database(login.Database)
		if !ok {
			return unknownDatabase(user.Name, login.Database)
		}
		to.database = database
	}
	to.loginDatabase = to.database
	if login.Language != "" {
		to.language = login.Language
	}
	return nil
}

// refused answers a login with errors.
func (s *session) refused(all []sqlError) error {
	r := s.response(tds.LoginPacketSize)
	for _, e := range all {
		if err := r.sqlError(e); err != nil {
			return err
		}
	}
	r.done(doneError, 0)
	r.settle(0)
	return r.packets.end()
}

// routed answers a login with another server's address.
func (s *session) routed(to route) error {
	r := s.response(tds.LoginPacketSize)
	r.packets.write(loginAck(s.version))
	r.packets.write(envChangeRouting(to.host, to.port))
	r.done(0, 0)
	r.settle(0)
	if err := r.packets.end(); err != nil {
		return err
	}
	// The client leaves; to close first could lose it the answer.
	_, err := readMessage(s.stream, maxPrelogin)
	return err
}

// welcome answers a good login.
func (s *session) welcome() error {
	r := s.response(tds.LoginPacketSize)
	r.packets.write(envChangeText(envDatabase, s.database, "master"))
	_ = r.info(sqlError{5701, 0, 2, fmt.Sprintf("Changed database context to '%s'.", s.database)})
	r.packets.write(envChangeBytes(envCollation, collation[:], nil))
	r.packets.write(envChangeText(envLanguage, s.language, ""))
	_ = r.info(sqlError{5703, 0, 1, fmt.Sprintf("Changed language setting to %s.", s.language)})
	r.packets.write(loginAck(s.version))
	if slices.Contains(s.login.Features, featureUTF8) {
		r.packets.write([]byte{tokenFeatureExtAck, featureUTF8, 1, 0, 0, 0, 1, 0xFF})
	}
	r.packets.write(envChangeText(envPacketSize, fmt.Sprint(s.packetSize), fmt.Sprint(tds.LoginPacketSize)))
	r.done(0, 0)
	r.settle(0)
	return r.packets.end()
}
