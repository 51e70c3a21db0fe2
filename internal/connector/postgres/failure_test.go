package postgres

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/testenv"
)

// What goes wrong at a real server, and what the client's driver makes of it.
func TestServerFailures(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	plain := testenv.Postgres(t, testenv.PG{NoTLS: true})
	expired := testenv.Postgres(t, testenv.PG{Cert: testenv.CertExpired})
	wrongHost := testenv.Postgres(t, testenv.PG{Cert: testenv.CertWrongHost})
	u := s.Users
	tests := map[string]struct {
		creds    map[string]string
		options  string
		code     string
		contains string
		kind     connector.Kind
	}{
		"wrong password":   {creds(s, u.SCRAM, "password", "nope"), "", "28P01", `password authentication failed for user "scram"`, connector.KindRejected},
		"wrong md5":        {creds(s, u.MD5, "password", "nope"), "", "28P01", `password authentication failed for user "md5user"`, connector.KindRejected},
		"unknown role":     {creds(s, testenv.User{Name: "ghost", Password: "x"}), "", "28000", "no pg_hba.conf entry", connector.KindDenied},
		"rejected by hba":  {creds(s, u.Reject), "", "28000", "pg_hba.conf rejects connection", connector.KindDenied},
		"may not log in":   {creds(s, u.NoLogin), "", "28000", "is not permitted to log in", connector.KindDenied},
		"too many":         {creds(s, u.Full), "", "53300", "too many connections for role", connector.KindTarget},
		"unknown database": {creds(s, u.SCRAM), "dbname=nowhere", "3D000", `database "nowhere" does not exist`, connector.KindTarget},
		"bad parameter":    {creds(s, u.SCRAM, "no_such_setting", "1"), "", "42704", `unrecognized configuration parameter "no_such_setting"`, connector.KindTarget},
		"no password":      {creds(s, u.SCRAM, "password", ""), "", "08004", "asks for a password, and the credential password is absent or empty", connector.KindConfig},
		"no TLS there":     {creds(plain, u.SCRAM, "sslmode", "require"), "", "08001", "does not offer TLS, which sslmode require demands", connector.KindTLS},
		"unknown CA":       {creds(s, u.SCRAM, "sslmode", "verify-ca"), "", "08001", "authority that is not trusted; put the CA's certificate into sslrootcert", connector.KindTLS},
		"wrong CA":         {creds(s, u.SCRAM, "sslmode", "require", "sslrootcert", s.CA.OtherCAPEM), "", "08001", "authority that is not trusted", connector.KindTLS},
		"expired":          {creds(expired, u.SCRAM, "sslmode", "verify-ca", "sslrootcert", s.CA.CAPEM), "", "08001", "certificate has expired on 20", connector.KindTLS},
		"wrong name":       {creds(wrongHost, u.SCRAM, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM), "", "08001", "set sslhost to a name in the certificate", connector.KindTLS},
		"refused":          {map[string]string{"host": "127.0.0.1", "port": "1", "username": "a"}, "", "08001", "connecting to the target 127.0.0.1:1: connection refused; check that the target runs there", connector.KindConnect},
		"no such socket":   {map[string]string{"host": "/nonexistent/sock", "username": "a"}, "", "08001", "no such socket file", connector.KindConnect},
		"bad sslmode":      {creds(s, u.SCRAM, "sslmode", "sometimes"), "", "08004", `sslmode "sometimes" is unknown; use one of disable, prefer, require, verify-ca, verify-full`, connector.KindConfig},
		"bad port":         {creds(s, u.SCRAM, "port", "70000"), "", "08004", `port "70000" is no number from 1 to 65535`, connector.KindConfig},
		"bad CA text":      {creds(s, u.SCRAM, "sslmode", "verify-ca", "sslrootcert", "/etc/ca.pem"), "", "08004", "sslrootcert holds no PEM certificate", connector.KindConfig},
		"direct too early": {creds(s, u.SCRAM, "sslmode", "require", "sslnegotiation", "direct"), "", "08001", "TLS", connector.KindTLS},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{}, test.creds)
			_, err := ask(t, f, "select 'x'", test.options)
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) {
				t.Fatalf("got %v", err)
			}
			if pgErr.Code != test.code || !strings.Contains(pgErr.Message, test.contains) {
				t.Errorf("got %s %s\nwant %s …%s…", pgErr.Code, pgErr.Message, test.code, test.contains)
			}
			if kind := connector.KindOf(f.Result(0)); kind != test.kind {
				t.Errorf("kind %v, want %v (%v)", kind, test.kind, f.Result(0))
			}
			if p := test.creds["password"]; len(p) > 8 && strings.Contains(err.Error()+f.Result(0).Error(), p) {
				t.Error("the password is in the error")
			}
		})
	}
}

func TestSSLHostMakesWrongNameRight(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{Cert: testenv.CertWrongHost})
	f := newFront(t, Config{}, creds(s, s.Users.SCRAM, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM, "sslhost", "wrong.example"))
	if _, err := ask(t, f, "select 'x'"); err != nil {
		t.Error(err)
	}
}

func TestPreferFallsBack(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{NoTLS: true})
	f := newFront(t, Config{}, creds(s, s.Users.SCRAM, "sslmode", "prefer"))
	if got, err := ask(t, f, "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()"); err != nil || got != "false" {
		t.Error(got, err)
	}
}

func TestDirectTLS(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{Version: 17})
	f := newFront(t, Config{}, creds(s, s.Users.SCRAM, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM, "sslnegotiation", "direct"))
	if got, err := ask(t, f, "select ssl::text from pg_stat_ssl where pid = pg_backend_pid()"); err != nil || got != "true" {
		t.Error(got, err)
	}
}

// Another certificate signature means another hash for the channel binding.
func TestChannelBindingRSA(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{Cert: testenv.CertRSA})
	f := newFront(t, Config{ChannelBinding: "require"}, creds(s, s.Users.SCRAM, "sslmode", "require"))
	if _, err := ask(t, f, "select 'x'"); err != nil {
		t.Error(err)
	}
}

func TestChannelBindingRequired(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	for name, c := range map[string]map[string]string{
		"trust":         creds(s, s.Users.Trust, "sslmode", "require"),
		"without TLS":   creds(s, s.Users.SCRAM),
		"over md5":      creds(s, s.Users.MD5, "sslmode", "require"),
		"by clear text": creds(s, s.Users.Cleartext, "sslmode", "require"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{ChannelBinding: "require"}, c)
			if _, err := ask(t, f, "select 'x'"); err == nil || !strings.Contains(err.Error(), "channelBinding require demands") {
				t.Error(err)
			}
		})
	}
}

// Rotation: a cached password that is rejected is fetched once more.
func TestRotation(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	old, current := creds(s, s.Users.SCRAM, "password", "yesterday"), creds(s, s.Users.SCRAM)
	t.Run("cached", func(t *testing.T) {
		f := newFront(t, Config{}, old, current)
		f.Credentials.Cached = true
		if _, err := ask(t, f, "select 'x'"); err != nil {
			t.Fatal(err)
		}
		if got := f.Credentials.Counts(); got != "2 lookups, 1 rejected, 1 accepted" {
			t.Error(got)
		}
		if n := f.Connector.keys.byUse.Len(); n != 1 {
			t.Errorf("keys of %d passwords are kept, want those of the good one only", n)
		}
	})
	t.Run("not cached", func(t *testing.T) {
		f := newFront(t, Config{}, old, current)
		if _, err := ask(t, f, "select 'x'"); err == nil || f.Credentials.Lookups() != 1 {
			t.Errorf("%v after %d lookups", err, f.Credentials.Lookups())
		}
	})
}

// The target's error crosses byte for byte, with what came before it.
func TestNativeError(t *testing.T) {
	message := encode(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already", File: "proc.c", Line: 353, Routine: "InitProcess"})
	for name, sent := range map[string][]byte{
		"instead of a request": message,
		"after a notice":       append(encode(t, &pgproto3.NoticeResponse{Message: "hello"}), message...),
		"after success":        append(encode(t, &pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "a", Value: "b"}), message...),
		"after negotiation":    append(encode(t, &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 0}), message...),
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFakeTarget(t, say(sent))
			f := newFront(t, Config{}, fake.creds())
			if got := talk(t, f, plainStartup); string(got) != string(sent) {
				t.Errorf("got  %q\nwant %q", got, sent)
			}
			err := f.Result(0)
			failure, ok := errors.AsType[*connector.Failure](err)
			native, isNative := failure.Native.(*TargetError)
			if !ok || !isNative || native.Code != "53300" || !strings.Contains(err.Error(), "sorry, too many clients already (SQLSTATE 53300)") {
				t.Errorf("%#v", err)
			}
		})
	}
}

func TestProviderFailure(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
	f.Credentials.Err = errors.New("provider vault: database/creds/orders: permission denied")
	want := "08004 secretless: provider vault: database/creds/orders: permission denied"
	if got := shown(t, nil, talk(t, f, plainStartup)); got != want {
		t.Error(got)
	}
}

func TestSSLAnswers(t *testing.T) {
	tests := map[string]struct {
		answer []byte
		want   string
	}{
		"error": {[]byte("E\x00\x00\x00\x20Mtext of an attacker\x00\x00"), "08004 secretless: the target 127.0.0.1:PORT answered the request for TLS with an error; it may be out of processes or memory, or too old for TLS"},
		"other": {[]byte("x"), "08P01 secretless: the target 127.0.0.1:PORT answered the request for TLS with byte 0x78; does it speak PostgreSQL?"},
		"no":    {[]byte("N"), "08001 secretless: the target 127.0.0.1:PORT does not offer TLS, which sslmode require demands; enable it there, or set sslmode to disable if the network is safe"},
		"close": {nil, "08006 secretless: asking for TLS: the target 127.0.0.1:PORT closed the connection; its log may say why"},
		// Plain bytes behind the answer are never read as the target's word.
		"stuffed": {append([]byte("S"), welcome(t)...), "08001 secretless: TLS with the target 127.0.0.1:PORT: tls: first record does not look like a TLS handshake"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fake := newFakeTarget(t, func(conn net.Conn) {
				_, _ = readPacket(conn)
				_, _ = conn.Write(test.answer)
			})
			f := newFront(t, Config{}, fake.creds("sslmode", "require"))
			if got := shown(t, fake, talk(t, f, plainStartup)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Every kind has a code, and a client that is gone is told nothing.
func TestSQLStates(t *testing.T) {
	s := &connector.Session{Service: "db"}
	for kind := connector.KindInternal; kind < connector.KindClientGone; kind++ {
		var e pgproto3.ErrorResponse
		if err := e.Decode(response(s, database.Failure(kind, "x"))[headerSize:]); err != nil || len(e.Code) != 5 || e.Severity != "FATAL" {
			t.Errorf("%v: %+v, %v", kind, e, err)
		}
	}
	if got := response(s, database.Failure(connector.KindClientGone, "x")); got != nil {
		t.Errorf("%q", got)
	}
	var e pgproto3.ErrorResponse
	_ = e.Decode(response(s, errors.New("internals with details"))[headerSize:])
	if e.Code != "XX000" || e.Message != "secretless: the broker failed" {
		t.Errorf("%+v", e)
	}
	_ = e.Decode(response(s, database.Failure(connector.KindConfig, "nul\x00 and \xff and\nlines"))[headerSize:])
	if e.Message != "secretless: nul  and ? and lines" {
		t.Errorf("%q", e.Message)
	}
}
