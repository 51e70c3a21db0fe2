package mssql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	mssqldb "github.com/microsoft/go-mssqldb"

	"secretless/internal/connector"
	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

const serverPassword = `pä'ss;{w}ord&1`

// startServer runs a test server with an account and a database.
func startServer(t *testing.T, config tdsserver.Config, cert testenv.Cert) *tdsserver.Server {
	t.Helper()
	if config.Encryption != tdsserver.EncryptionNotSupported {
		config.Certificate = testenv.CA(t).Server(t, cert).Certificate(t)
	}
	config.Users = append(config.Users, tdsserver.User{Name: "app", Password: serverPassword})
	config.Databases = []string{"shop"}
	s, err := tdsserver.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func serverCreds(t *testing.T, s *tdsserver.Server, more ...string) map[string]string {
	out := map[string]string{
		"host": "127.0.0.1", "port": strconv.Itoa(s.Addr().Port), "username": "app", "password": serverPassword,
		"sslrootcert": testenv.CA(t).CAPEM,
	}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// openDB is a go-mssqldb pool on the front, without any credential; more are
// name=value of its connection string.
func openDB(t *testing.T, f *front, more ...string) *sql.DB {
	t.Helper()
	q := url.Values{"database": {"shop"}, "encrypt": {"false"}, "dial timeout": {"10"}, "app name": {"the app"}, "workstation id": {"desk"}}
	for _, m := range more {
		name, value, _ := strings.Cut(m, "=")
		q.Set(name, value)
	}
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("nobody", "wrong"), Host: "127.0.0.1:" + f.Port(), RawQuery: q.Encode()}
	db, err := sql.Open("sqlserver", u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func text(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	var out string
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&out); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func TestModes(t *testing.T) {
	for name, c := range map[string]struct {
		server            tdsserver.Config
		mode              string
		encrypted, strict bool
	}{
		"disable":                    {tdsserver.Config{Encryption: tdsserver.EncryptionNotSupported}, "disable", false, false},
		"disable, TLS possible":      {tdsserver.Config{}, "disable", false, false},
		"prefer":                     {tdsserver.Config{}, "prefer", true, false},
		"prefer, no TLS":             {tdsserver.Config{Encryption: tdsserver.EncryptionNotSupported}, "prefer", false, false},
		"default":                    {tdsserver.Config{}, "", true, false},
		"require":                    {tdsserver.Config{Encryption: tdsserver.EncryptionRequired}, "require", true, false},
		"verify-ca":                  {tdsserver.Config{}, "verify-ca", true, false},
		"verify-full":                {tdsserver.Config{}, "verify-full", true, false},
		"strict":                     {tdsserver.Config{Encryption: tdsserver.EncryptionStrict}, "strict", true, true},
		"strict, others served, too": {tdsserver.Config{}, "strict", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, c.server, testenv.CertECDSA)
			db := openDB(t, newFront(t, serverCreds(t, s, "sslmode", c.mode)), "ApplicationIntent=ReadOnly", "packet size=32767")
			if got := text(t, db, "select suser_name()"); got != "app" {
				t.Errorf("logged in as %s", got)
			}
			l := s.LastLogin()
			if l.Encrypted != c.encrypted || l.Strict != c.strict {
				t.Errorf("encrypted %v, strict %v", l.Encrypted, l.Strict)
			}
			size := 32767
			if c.encrypted {
				size = 16383
			}
			if l.PacketSize != size {
				t.Errorf("a packet size of %d", l.PacketSize)
			}
			if l.AppName != "the app" || l.HostName != "desk" || l.Database != "shop" || !l.ReadOnlyIntent || l.ServerName != "127.0.0.1" {
				t.Errorf("the client's fields did not get there: %+v", l)
			}
			if large := text(t, db, "select @p1", strings.Repeat("ż", 500_000)); large != strings.Repeat("ż", 500_000) {
				t.Errorf("a large value came back as %d bytes", len(large))
			}
		})
	}
}

func TestDatabaseOfTheCredentials(t *testing.T) {
	s := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	db := openDB(t, newFront(t, serverCreds(t, s, "database", "shop")), "database=nowhere")
	if got := text(t, db, "select db_name()"); got != "shop" {
		t.Error(got)
	}
}

func TestServerName(t *testing.T) {
	s := startServer(t, tdsserver.Config{}, testenv.CertWrongHost)
	f := newFront(t, serverCreds(t, s, "sslmode", "verify-full", "sslhost", "wrong.example"))
	if got := text(t, openDB(t, f), "select suser_name()"); got != "app" {
		t.Error(got)
	}
}

func TestClientCertificate(t *testing.T) {
	pair := testenv.CA(t).Client(t, "broker")
	s := startServer(t, tdsserver.Config{ClientCAs: testenv.CA(t).Pool()}, testenv.CertECDSA)
	for _, mode := range []string{"verify-full", "strict"} {
		f := newFront(t, serverCreds(t, s, "sslmode", mode, "sslcert", pair.CertPEM, "sslkey", pair.KeyPEM))
		if got := text(t, openDB(t, f), "select suser_name()"); got != "app" || s.LastLogin().ClientCert != "broker" {
			t.Errorf("%s: %s %+v", mode, got, s.LastLogin())
		}
	}
}

// A cancelled query ends and its connection serves the next.
func TestAttention(t *testing.T) {
	s := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	for _, mode := range []string{"disable", "require", "strict"} {
		db := openDB(t, newFront(t, serverCreds(t, s, "sslmode", mode)))
		db.SetMaxOpenConns(1)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := db.ExecContext(ctx, "waitfor delay '00:00:30'")
		cancel()
		if err == nil {
			t.Errorf("%s: the query was not cancelled", mode)
		}
		if got := text(t, db, "select suser_name()"); got != "app" {
			t.Errorf("%s: after the cancellation: %s", mode, got)
		}
	}
}

func TestRouting(t *testing.T) {
	end := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	gate := startServer(t, tdsserver.Config{RouteTo: fmt.Sprintf("127.0.0.1:%d", end.Addr().Port)}, testenv.CertECDSA)
	for _, mode := range []string{"disable", "require", "verify-full", "strict"} {
		db := openDB(t, newFront(t, serverCreds(t, gate, "sslmode", mode)))
		if got := text(t, db, "select suser_name()"); got != "app" {
			t.Errorf("%s: %s", mode, got)
		}
	}
	if n := len(end.Logins()); n != 4 {
		t.Errorf("%d logins at the end of the route", n)
	}
}

// The other end of a route is verified as the first is.
func TestRoutingToAnImpostor(t *testing.T) {
	end := startServer(t, tdsserver.Config{}, testenv.CertWrongHost)
	gate := startServer(t, tdsserver.Config{RouteTo: fmt.Sprintf("127.0.0.1:%d", end.Addr().Port)}, testenv.CertECDSA)
	db := openDB(t, newFront(t, serverCreds(t, gate, "sslmode", "verify-full")))
	err := db.PingContext(t.Context())
	if e, ok := errors.AsType[mssqldb.Error](err); !ok || e.Number != numberTLS {
		t.Errorf("got %v", err)
	}
	if len(end.Logins()) > 0 {
		t.Error("the credentials got there")
	}
}

func TestRoutingInACircle(t *testing.T) {
	// A server whose port is known before it starts.
	first := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	port := first.Addr().Port
	first.Stop()
	circle := startServer(t, tdsserver.Config{Listen: fmt.Sprintf("127.0.0.1:%d", port), RouteTo: fmt.Sprintf("127.0.0.1:%d", port)}, testenv.CertECDSA)
	login := clientLogin()
	login.Database = nil
	got := refusal(t, newFront(t, serverCreds(t, circle)), login, nil)
	if !strings.HasPrefix(got, "50005 secretless: logging in: ") || !strings.Contains(got, "routes the login in a circle (more than 5 times)") {
		t.Error(got)
	}
	if n := len(circle.Logins()); n != 6 {
		t.Errorf("%d logins, want the first and five routes", n)
	}
}

// A driver's user meets SQL Server's own numbers.
func TestErrorsOfTheServer(t *testing.T) {
	states := map[tdsserver.State]int32{
		tdsserver.Disabled: 18470, tdsserver.Locked: 18486, tdsserver.Expired: 18487, tdsserver.MustChange: 18488,
	}
	for state, number := range states {
		s := startServer(t, tdsserver.Config{Users: []tdsserver.User{{Name: "other", Password: "sesame-8731", State: state}}}, testenv.CertECDSA)
		expectNumber(t, newFront(t, serverCreds(t, s, "username", "other", "password", "sesame-8731")), number)
	}
	s := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	f := newFront(t, serverCreds(t, s, "password", "wrong"))
	expectNumber(t, f, 18456)
	if connector.KindOf(f.Result(0)) != connector.KindRejected {
		t.Errorf("got %v", f.Result(0))
	}
	// SQL Server says 4060 and then 18456: the password is not to blame.
	f = newFront(t, serverCreds(t, s, "database", "nowhere"))
	expectNumber(t, f, 4060)
	if connector.KindOf(f.Result(0)) != connector.KindTarget {
		t.Errorf("got %v", f.Result(0))
	}
}

func expectNumber(t *testing.T, f *front, number int32) {
	t.Helper()
	err := openDB(t, f).PingContext(t.Context())
	e, ok := errors.AsType[mssqldb.Error](err)
	if !ok {
		t.Errorf("got %v, want error %d", err, number)
		return
	}
	for _, each := range append(e.All, e) {
		if each.Number == number {
			return
		}
	}
	t.Errorf("got %v %+v, want error %d", err, e.All, number)
}

// A rotated password is fetched again before the client notices.
func TestRotation(t *testing.T) {
	s := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	f := newFront(t, serverCreds(t, s, "password", "old"), serverCreds(t, s))
	f.Credentials.Cached = true
	if got := text(t, openDB(t, f), "select suser_name()"); got != "app" {
		t.Error(got)
	}
	if got := f.Credentials.Counts(); got != "2 lookups, 1 rejected, 1 accepted" {
		t.Error(got)
	}
}

func TestListenerTLS(t *testing.T) {
	s := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	for _, encrypt := range []string{"disable", "false", "true", "strict"} {
		for _, mode := range []string{"disable", "require", "strict"} {
			t.Run(encrypt+" to "+mode, func(t *testing.T) {
				f := newFront(t, serverCreds(t, s, "sslmode", mode))
				f.ClientTLS = &tls.Config{Certificates: []tls.Certificate{*testenv.CA(t).Server(t, testenv.CertECDSA).Certificate(t)}, MinVersion: tls.VersionTLS12}
				ca := testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
				db := openDB(t, f, "encrypt="+encrypt, "certificate="+ca, "hostNameInCertificate=localhost", "TrustServerCertificate=false")
				if got := text(t, db, "select @p1", strings.Repeat("x", 100_000)); len(got) != 100_000 {
					t.Errorf("got %d bytes", len(got))
				}
			})
		}
	}
}

// A client that demands encryption of a listener without gets its own message.
func TestClientThatDemandsEncryption(t *testing.T) {
	s := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	for encrypt, want := range map[string]string{"true": "encrypt", "strict": "handshake failure"} {
		err := openDB(t, newFront(t, serverCreds(t, s)), "encrypt="+encrypt).PingContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", encrypt, err)
		}
	}
	if n := len(s.Logins()); n > 0 {
		t.Errorf("%d logins", n)
	}
}

// FreeTDS speaks the old versions, of which the tokens are narrower.
func TestTSQL(t *testing.T) {
	s := startServer(t, tdsserver.Config{}, testenv.CertECDSA)
	for _, version := range []string{"7.1", "7.2", "7.3", "7.4"} {
		for _, mode := range []string{"disable", "verify-full"} {
			out, err := tsql(t, newFront(t, serverCreds(t, s, "sslmode", mode)), version, "select suser_name()\ngo\n")
			if err != nil || !strings.Contains(out, "app\n") {
				t.Errorf("%s, %s: %v: %s", version, mode, err, out)
			}
		}
		out, err := tsql(t, newFront(t, serverCreds(t, s, "sslmode", "disable", "port", "1")), version, "")
		if err == nil || !strings.Contains(out, "Msg 10061") || !strings.Contains(out, "secretless: connecting to the target 127.0.0.1:1: connection refused") {
			t.Errorf("%s: the client is not told: %v: %s", version, err, out)
		}
	}
}

func tsql(t *testing.T, f *front, version, input string) (string, error) {
	t.Helper()
	conf := fmt.Sprintf("[global]\nconnect timeout = 10\n[test]\nhost = 127.0.0.1\nport = %s\ntds version = %s\nencryption = off\n", f.Port(), version)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Tool(t, "tsql"), "-S", "test", "-U", "nobody", "-P", "wrong", "-D", "shop", "-o", "fqh")
	cmd.Env = []string{"FREETDSCONF=" + testenv.WriteFile(t, "freetds.conf", conf), "HOME=" + t.TempDir(), "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
