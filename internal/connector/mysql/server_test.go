package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"secretless/internal/connector"
	"secretless/internal/testenv"
	"secretless/internal/wire/mysqlwire"
)

// creds are credentials for an account of a test server, with more or other
// ones.
func creds(s *testenv.MariaServer, u testenv.User, more ...string) map[string]string {
	out := map[string]string{"host": "127.0.0.1", "port": strconv.Itoa(s.Port), "username": u.Name, "sslmode": "disable"}
	if u.Password != "" {
		out["password"] = u.Password
	}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// nobody is how go-sql-driver connects to the front, without a password that
// anybody would take.
func nobody(f *front) *driver.Config {
	c := driver.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", f.Addr(), "nobody", "wrong", testenv.Database
	c.Timeout, c.Logger = 10*time.Second, &driver.NopLogger{}
	return c
}

// ask logs in with c and returns one value.
func ask(t *testing.T, c *driver.Config, query string) (out string, err error) {
	t.Helper()
	connector, err := driver.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(t.Context(), query).Scan(&out)
	return out, err
}

func TestAuthenticationMethods(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	u := s.Users
	cert := s.CA.Client(t, "somebody")
	tests := map[string]struct {
		config Config
		creds  map[string]string
		user   string
	}{
		"native":              {creds: creds(s, u.Native), user: u.Native.Name},
		"native on socket":    {creds: creds(s, u.Native, "host", s.Socket(), "sslmode", "verify-full"), user: u.Native.Name},
		"ed25519":             {creds: creds(s, u.Ed25519), user: u.Ed25519.Name},
		"ed25519 alone":       {Config{RequireAuth: []string{pluginEd25519}}, creds(s, u.Ed25519), u.Ed25519.Name},
		"ed25519 over TLS":    {creds: creds(s, u.Ed25519, "sslmode", "require"), user: u.Ed25519.Name},
		"no password":         {creds: creds(s, u.Empty), user: u.Empty.Name},
		"default mode":        {creds: creds(s, u.TLSOnly, "sslmode", ""), user: u.TLSOnly.Name},
		"prefer":              {creds: creds(s, u.TLSOnly, "sslmode", "prefer"), user: u.TLSOnly.Name},
		"require":             {creds: creds(s, u.TLSOnly, "sslmode", "require"), user: u.TLSOnly.Name},
		"require, other root": {creds: creds(s, u.TLSOnly, "sslmode", "require", "sslrootcert", s.CA.OtherCAPEM), user: u.TLSOnly.Name},
		"verify-ca":           {creds: creds(s, u.TLSOnly, "sslmode", "verify-ca", "sslrootcert", s.CA.CAPEM), user: u.TLSOnly.Name},
		"verify-full":         {creds: creds(s, u.TLSOnly, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM), user: u.TLSOnly.Name},
		"client certificate":  {creds: creds(s, u.X509, "sslmode", "require", "sslcert", cert.CertPEM, "sslkey", cert.KeyPEM), user: u.X509.Name},
		"greeting of target":  {Config{Greeting: greetTarget}, creds(s, u.Ed25519, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM), u.Ed25519.Name},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, test.config, test.creds)
			for range 2 { // the second time with a learned greeting
				got, err := ask(t, nobody(f), "select substring_index(current_user(), '@', 1)")
				if err != nil || got != test.user {
					t.Fatalf("got %q, %v; want %q", got, err, test.user)
				}
			}
		})
	}
}

func TestTLSIsUsed(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	for mode, encrypted := range map[string]bool{"disable": false, "prefer": true, "require": true} {
		f := newFront(t, Config{}, creds(s, s.Users.Native, "sslmode", mode))
		got, err := ask(t, nobody(f), "select variable_value from information_schema.session_status where variable_name = 'ssl_version'")
		if err != nil || strings.HasPrefix(got, "TLS") != encrypted {
			t.Errorf("%s: %q, %v", mode, got, err)
		}
	}
}

// What goes wrong at a real server, and what the client's driver makes of it.
func TestServerFailures(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	plain := testenv.MariaDB(t, testenv.Maria{NoTLS: true})
	expired := testenv.MariaDB(t, testenv.Maria{Cert: testenv.CertExpired})
	wrongHost := testenv.MariaDB(t, testenv.Maria{Cert: testenv.CertWrongHost})
	u := s.Users
	tests := map[string]struct {
		config   Config
		creds    map[string]string
		database string
		number   uint16
		state    string
		contains string
		kind     connector.Kind
	}{
		"wrong password":       {creds: creds(s, u.Native, "password", "nope"), number: 1045, state: "28000", contains: "Access denied for user 'native'@'127.0.0.1' (using password: YES)", kind: connector.KindRejected},
		"wrong ed25519":        {creds: creds(s, u.Ed25519, "password", "nope"), number: 1045, state: "28000", contains: "Access denied for user 'ed25519'", kind: connector.KindRejected},
		"unknown user":         {creds: creds(s, testenv.User{Name: "ghost", Password: "x"}), number: 1045, state: "28000", contains: "Access denied for user 'ghost'", kind: connector.KindRejected},
		"no password":          {creds: creds(s, u.Native, "password", ""), number: 1045, state: "28000", contains: "(using password: NO)", kind: connector.KindRejected},
		"only over TLS":        {creds: creds(s, u.TLSOnly), number: 1045, state: "28000", contains: "Access denied for user 'tlsonly'", kind: connector.KindRejected},
		"without certificate":  {creds: creds(s, u.X509, "sslmode", "require"), number: 1045, state: "28000", contains: "Access denied for user 'x509'", kind: connector.KindRejected},
		"locked":               {creds: creds(s, u.Locked), number: 4151, state: "HY000", contains: "this account is locked", kind: connector.KindDenied},
		"unknown database":     {creds: creds(s, u.Admin), database: "nowhere", number: 1049, state: "42000", contains: "Unknown database 'nowhere'", kind: connector.KindTarget},
		"forbidden database":   {creds: creds(s, u.Limited), number: 1044, state: "42000", contains: "Access denied for user 'limited'@'%' to database", kind: connector.KindDenied},
		"no TLS there":         {creds: creds(plain, u.Native, "sslmode", "require"), number: 1105, state: "08S01", contains: "does not offer TLS, which sslmode require demands", kind: connector.KindTLS},
		"unknown CA":           {creds: creds(s, u.Native, "sslmode", "verify-ca"), number: 1105, state: "08S01", contains: "authority that is not trusted; put the CA's certificate into sslrootcert", kind: connector.KindTLS},
		"wrong CA":             {creds: creds(s, u.Native, "sslmode", "verify-ca", "sslrootcert", s.CA.OtherCAPEM), number: 1105, state: "08S01", contains: "authority that is not trusted", kind: connector.KindTLS},
		"expired":              {creds: creds(expired, u.Native, "sslmode", "verify-ca", "sslrootcert", s.CA.CAPEM), number: 1105, state: "08S01", contains: "certificate has expired on 20", kind: connector.KindTLS},
		"wrong name":           {creds: creds(wrongHost, u.Native, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM), number: 1105, state: "08S01", contains: "set sslhost to a name in the certificate", kind: connector.KindTLS},
		"refused":              {creds: map[string]string{"host": "127.0.0.1", "port": "1", "username": "a"}, number: 1105, state: "08S01", contains: "connecting to the target 127.0.0.1:1: connection refused; check that the target runs there", kind: connector.KindConnect},
		"no such host":         {creds: map[string]string{"host": "nowhere.invalid", "username": "a"}, number: 1105, state: "08S01", contains: "resolving the target nowhere.invalid:3306", kind: connector.KindResolve},
		"no such socket":       {creds: map[string]string{"host": "/nonexistent/sock", "username": "a"}, number: 1105, state: "08S01", contains: "no such socket file", kind: connector.KindConnect},
		"bad mode":             {creds: creds(s, u.Native, "sslmode", "on"), number: 1105, state: "08004", contains: "sslmode \"on\" is unknown; use one of disable, prefer", kind: connector.KindConfig},
		"NUL in the password":  {creds: creds(s, u.Native, "password", "a\x00b"), number: 1105, state: "08004", contains: "password holds a NUL byte", kind: connector.KindConfig},
		"NUL in the user":      {creds: creds(s, u.Native, "username", "a\x00b"), number: 1105, state: "08004", contains: "holds a NUL byte", kind: connector.KindConfig},
		"native not allowed":   {config: Config{RequireAuth: []string{pluginEd25519}}, creds: creds(s, u.Native), number: 1105, state: "08004", contains: "asks for mysql_native_password, which requireAuth does not list", kind: connector.KindTarget},
		"ed25519 not allowed":  {config: Config{RequireAuth: []string{pluginNative}}, creds: creds(s, u.Ed25519), number: 1105, state: "08004", contains: "asks for client_ed25519, which requireAuth does not list", kind: connector.KindTarget},
		"greeting of no where": {config: Config{Greeting: greetTarget}, creds: map[string]string{"host": "127.0.0.1", "port": "1", "username": "a"}, number: 1105, state: "08S01", contains: "connection refused", kind: connector.KindConnect},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, test.config, test.creds)
			c := nobody(f)
			if test.database != "" {
				c.DBName = test.database
			}
			_, err := ask(t, c, "select 'x'")
			e, ok := errors.AsType[*driver.MySQLError](err)
			if !ok {
				t.Fatalf("the driver got %v", err)
			}
			if e.Number != test.number || string(e.SQLState[:]) != test.state || !strings.Contains(e.Message, test.contains) {
				t.Errorf("got  %d %s %s\nwant %d %s …%s…", e.Number, e.SQLState, e.Message, test.number, test.state, test.contains)
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

func TestLoginsPerHour(t *testing.T) {
	s := testenv.NewMariaDB(t, testenv.Maria{})
	f := newFront(t, Config{}, creds(s, s.Users.Full))
	if _, err := ask(t, nobody(f), "select 'x'"); err != nil {
		t.Fatal(err)
	}
	_, err := ask(t, nobody(f), "select 'x'")
	if e, ok := errors.AsType[*driver.MySQLError](err); !ok || e.Number != 1226 {
		t.Errorf("got %v", err)
	}
}

// A password that has expired lets only those in who say that they can handle
// it; what follows is between them and the target.
func TestExpiredPassword(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	f := newFront(t, Config{}, creds(s, s.Users.Expired))
	_, err := ask(t, nobody(f), "select 'x'")
	if e, ok := errors.AsType[*driver.MySQLError](err); !ok || e.Number != 1820 && e.Number != 1862 {
		t.Errorf("got %v", err)
	}
}

func TestPreferFallsBack(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{NoTLS: true})
	f := newFront(t, Config{}, creds(s, s.Users.Native, "sslmode", "prefer"))
	if got, err := ask(t, nobody(f), "select 'x'"); err != nil || got != "x" {
		t.Error(got, err)
	}
}

func TestSSLHostMakesWrongNameRight(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{Cert: testenv.CertWrongHost})
	f := newFront(t, Config{}, creds(s, s.Users.Native, "sslmode", "verify-full", "sslrootcert", s.CA.CAPEM, "sslhost", "wrong.example"))
	if _, err := ask(t, nobody(f), "select 'x'"); err != nil {
		t.Error(err)
	}
}

// What the client says of itself reaches the target, who it is aside.
func TestClientSettingsReachTheTarget(t *testing.T) {
	s := testenv.NewMariaDB(t, testenv.Maria{Options: "--performance-schema=ON"})
	f := newFront(t, Config{}, creds(s, s.Users.Admin))
	c := nobody(f)
	c.Collation = "latin1_german1_ci"
	c.ConnectionAttributes = "program_name:invoices"
	c.ClientFoundRows = true
	for query, want := range map[string]string{
		"select database()":             testenv.Database,
		"select @@collation_connection": "latin1_german1_ci",
		"select attr_value from performance_schema.session_account_connect_attrs where attr_name = 'program_name' and processlist_id = connection_id()": "invoices",
	} {
		if got, err := ask(t, c, query); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", query, got, err, want)
		}
	}
}

func TestDatabaseCredentialWins(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	f := newFront(t, Config{}, creds(s, s.Users.Admin, "database", "mysql"))
	for _, asked := range []string{testenv.Database, ""} {
		c := nobody(f)
		c.DBName = asked
		if got, err := ask(t, c, "select database()"); err != nil || got != "mysql" {
			t.Errorf("client asks for %q: %q, %v", asked, got, err)
		}
	}
}

// A connection that goes on, with everything that the greeting's flags change
// on the wire: before and after the target is known.
func TestSession(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	for name, config := range map[string]Config{"learned": {}, "target": {Greeting: greetTarget}} {
		f := newFront(t, config, creds(s, s.Users.Native))
		for round := range 2 {
			c := nobody(f)
			c.MultiStatements = true
			c.MaxAllowedPacket = 40 << 20
			connector, err := driver.NewConnector(c)
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(connector)
			session(t, name, round, db)
			_ = db.Close()
		}
	}
}

func session(t *testing.T, name string, round int, db *sql.DB) {
	t.Helper()
	rows, err := db.Query("select 1; select name from fruit order by id")
	if err != nil {
		t.Fatalf("%s %d: %v", name, round, err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() || !rows.NextResultSet() {
		t.Fatalf("%s %d: %v", name, round, rows.Err())
	}
	n := 0
	for rows.Next() {
		n++
	}
	if n != 3 || rows.Err() != nil {
		t.Errorf("%s %d: %d rows, %v", name, round, n, rows.Err())
	}
	big := strings.Repeat("0123456789abcdef", 18<<20/16) // more than one packet
	var size int
	if err := db.QueryRow("select length(?)", big).Scan(&size); err != nil || size != len(big) {
		t.Errorf("%s %d: %d, %v", name, round, size, err)
	}
}

func TestConnectionID(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	for greeting, own := range map[string]bool{greetLearned: false, greetTarget: true} {
		f := newFront(t, Config{Greeting: greeting}, creds(s, s.Users.Native))
		p := newPeer(dial(t, f))
		greeted := parseGreeting(t, p)
		if err := p.send(plainResponse().packet(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.next(); err != nil {
			t.Fatal(err)
		}
		if err := p.send([]byte("\x17\x00\x00\x00\x03select connection_id()")); err != nil {
			t.Fatal(err)
		}
		var row []byte
		for range 4 { // count, column, EOF, row
			var err error
			if row, err = p.next(); err != nil {
				t.Fatal(err)
			}
		}
		id := string(row[1:])
		if got := strconv.Itoa(int(greeted.ConnectionID)); (got == id) != own || !own && got != "0" {
			t.Errorf("%s: greeted with connection id %s, it is %s", greeting, got, id)
		}
	}
}

// Cancelling: with the target's greeting, the id in it is the one to kill.
func TestKillWithGreetingOfTarget(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	f := newFront(t, Config{Greeting: greetTarget}, creds(s, s.Users.Native))
	p := newPeer(dial(t, f))
	id := parseGreeting(t, p).ConnectionID
	if err := p.send(plainResponse().packet(1)); err != nil {
		t.Fatal(err)
	}
	mustNext(t, p, 2)
	if err := p.send(mysqlwire.AppendPacket(nil, 0, []byte("\x03do sleep(60)"))); err != nil {
		t.Fatal(err)
	}
	killed := make(chan []byte, 1)
	go func() {
		payload, _ := p.next()
		killed <- payload
	}()
	connector, err := driver.NewConnector(nobody(f))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	for {
		if _, err := db.ExecContext(t.Context(), fmt.Sprintf("kill query %d", id)); err != nil {
			t.Fatal(err)
		}
		select {
		case payload := <-killed:
			// Killed in its first moment, it ends in an OK with a warning.
			if got := shown(t, nil, payload); mysqlwire.KindOf(payload) != mysqlwire.KindOK && got != "1317 70100 Query execution was interrupted" {
				t.Error(got)
			}
			return
		case <-time.After(10 * time.Millisecond): // it may not have begun
		}
	}
}

// Rotation: a cached password that is rejected is fetched once more.
func TestRotation(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	old, current := creds(s, s.Users.Native, "password", "yesterday"), creds(s, s.Users.Native)
	for _, greeting := range []string{greetLearned, greetTarget} {
		t.Run(greeting, func(t *testing.T) {
			f := newFront(t, Config{Greeting: greeting}, old, current)
			f.Credentials.Cached = true
			if _, err := ask(t, nobody(f), "select 'x'"); err != nil {
				t.Fatal(err)
			}
			if got := f.Credentials.Counts(); got != "2 lookups, 1 rejected, 1 accepted" {
				t.Error(got)
			}
		})
	}
	t.Run("not cached", func(t *testing.T) {
		f := newFront(t, Config{}, old, current)
		if _, err := ask(t, nobody(f), "select 'x'"); err == nil || f.Credentials.Lookups() != 1 {
			t.Errorf("%v after %d lookups", err, f.Credentials.Lookups())
		}
	})
}

// COM_CHANGE_USER is between the client and the target: with a password of the
// client's own it works, without one the target says no in the protocol.
func TestChangeUser(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	if payload := changeUser(t, s, s.Users.Native.Password); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
		t.Errorf("with its own password: %q", payload)
	}
	if got := shown(t, nil, changeUser(t, s, "")); !strings.HasPrefix(got, "1045 28000 Access denied") {
		t.Error(got)
	}
}

func changeUser(t *testing.T, s *testenv.MariaServer, password string) []byte {
	t.Helper()
	f := newFront(t, Config{}, creds(s, s.Users.Native))
	conn, err := loginAs(dial(t, f), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(conn)
	body := "\x11" + s.Users.Native.Name + "\x00\x14" + strings.Repeat("x", 20) + testenv.Database + "\x00\x2d\x00" + pluginNative + "\x00\x00"
	if err := p.send(append([]byte{byte(len(body)), 0, 0, 0}, body...)); err != nil {
		t.Fatal(err)
	}
	payload, err := p.next()
	if err != nil {
		t.Fatal(err)
	}
	request, err := mysqlwire.ParseAuthSwitchRequest(payload)
	if err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	answer := strings.Repeat("y", 20)
	if password != "" {
		answer = string(hashNative([]byte(password), request.Data[:mysqlwire.ScrambleSize]))
	}
	if err := p.send(mysqlwire.AppendPacket(nil, p.sequence+1, []byte(answer))); err != nil {
		t.Fatal(err)
	}
	if payload, err = p.next(); err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestEndOfTargetIsSeen(t *testing.T) {
	s := testenv.NewMariaDB(t, testenv.Maria{})
	f := newFront(t, Config{}, creds(s, s.Users.Native))
	connector, err := driver.NewConnector(nobody(f))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := conn.PingContext(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}
