package tdsserver_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const password = `pä'ss;{w}ord&1`

// start runs a server with a certificate of the test's authority.
func start(t *testing.T, config tdsserver.Config) *tdsserver.Server {
	t.Helper()
	if config.Encryption != tdsserver.EncryptionNotSupported {
		config.Certificate = testenv.CA(t).Server(t, testenv.CertECDSA).Certificate(t)
	}
	if config.Users == nil {
		config.Users = []tdsserver.User{
			{Name: "app", Password: password},
			{Name: "plain", Password: "plain1"},
			{Name: "disabled", Password: "x", State: tdsserver.Disabled},
			{Name: "locked", Password: "x", State: tdsserver.Locked},
			{Name: "expired", Password: "x", State: tdsserver.Expired},
			{Name: "mustchange", Password: "x", State: tdsserver.MustChange},
		}
	}
	config.Databases = []string{"shop"}
	s, err := tdsserver.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// dsn is for go-mssqldb; more are name=value.
func dsn(s *tdsserver.Server, user, password string, more ...string) string {
	q := url.Values{"database": {"shop"}, "encrypt": {"disable"}, "dial timeout": {"10"}}
	for _, m := range more {
		name, value, _ := strings.Cut(m, "=")
		q.Set(name, value)
	}
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword(user, password), Host: s.Addr().String(), RawQuery: q.Encode()}
	return u.String()
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func one[T any](t *testing.T, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, query string, args ...any,
) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestMSSQLDB(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	db := open(t, dsn(s, "app", password, "app name=the app", "workstation id=desk", "packet size=32767", "ApplicationIntent=ReadOnly"))
	for query, want := range map[string]string{
		"select suser_name()": "app", "select original_login()": "app", "select db_name()": "shop",
		"select app_name()": "the app", "select host_name()": "desk", "select cast(1 as nvarchar(3))": "1",
		"select N'żółć'": "żółć", "select cast((496 & 0xFF) / 16 as varchar)": "15", "select 'a' + 'b'": "ab", "select cast(-12.5 as decimal(10,3))": "-12.500",
	} {
		if got := one[string](t, db, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := one[string](t, db, "select @@version"); !strings.HasPrefix(got, "Microsoft SQL Server") {
		t.Error(got)
	}
	l := s.LastLogin()
	if l.AppName != "the app" || l.HostName != "desk" || l.Database != "shop" || l.PacketSize != 32767 || !l.ReadOnlyIntent ||
		l.UserName != "app" || l.TDSVersion != 0x74000004 || l.Err != 0 {
		t.Errorf("%+v", l)
	}
}

func TestMSSQLDBParameters(t *testing.T) {
	t.Parallel()
	db := open(t, dsn(start(t, tdsserver.Config{}), "app", password))
	for _, v := range []any{
		int64(-5), "text", strings.Repeat("ż", 300_000),
		[]byte{0, 1, 255},
		true, 1.5,
		time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC),
	} {
		var got any
		if err := db.QueryRowContext(t.Context(), "select @p1 as echo", v).Scan(&got); err != nil || !same(got, v) {
			t.Errorf("%T: %.40v, want %.40v (%v)", v, got, v, err)
		}
	}
	var out int64
	if _, err := db.ExecContext(t.Context(), "set @out = @in + 1", sql.Named("in", 41), sql.Named("out", sql.Out{Dest: &out})); err != nil || out != 42 {
		t.Error(out, err)
	}
}

func same(got, want any) bool {
	if at, ok := want.(time.Time); ok {
		back, ok := got.(time.Time)
		return ok && at.Equal(back)
	}
	return fmt.Sprint(got) == fmt.Sprint(want)
}

func TestMSSQLDBErrors(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	for _, c := range []struct {
		user, password, database string
		number                   int32
		text                     string
	}{
		{"app", "wrong", "shop", 18456, "Login failed for user 'app'."},
		{"app", strings.ToUpper(password), "shop", 18456, "Login failed for user 'app'."},
		{"nobody", "x", "shop", 18456, "Login failed for user 'nobody'."},
		{"app", password, "nowhere", 18456, "Login failed for user 'app'."},
		{"disabled", "x", "shop", 18470, "Reason: The account is disabled."},
		{"disabled", "y", "shop", 18456, "Login failed"},
		{"locked", "y", "shop", 18486, "locked out"},
		{"expired", "x", "shop", 18487, "has expired"},
		{"mustchange", "x", "shop", 18488, "must be changed"},
	} {
		err := open(t, dsn(s, c.user, c.password, "database="+c.database)).PingContext(t.Context())
		var e mssql.Error
		if !errors.As(err, &e) || e.Number != c.number || !strings.Contains(e.Message, c.text) {
			t.Errorf("%s: %v", c.user, err)
		}
		if c.database == "nowhere" && (len(e.All) != 2 || e.All[0].Number != 4060) {
			t.Errorf("unknown database: %+v", e.All)
		}
	}
}

func TestMSSQLDBStatements(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	db := open(t, dsn(s, "app", password))
	for query, number := range map[string]int32{
		"select bad": 207, "select * fro": 102, "selct 1": 102, "select 1 from t": 208, "raiserror('no %s', 16, 3, 'way')": 50000,
		"throw 51000, 'thrown', 1": 51000, "select 1/0": 8134, "use nowhere": 911, "select 'open": 105, "exec x 1; print 1": 2812, "exec 1": 102,
		"select nothing(1)": 195, "commit": 3902,
	} {
		_, err := db.ExecContext(t.Context(), query)
		var e mssql.Error
		if !errors.As(err, &e) || e.Number != number {
			t.Errorf("%s: %v, want %d", query, err, number)
		}
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"use master", "set nocount on; set xact_abort on", "begin tran; commit tran"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Error(statement, err)
		}
	}
	if got := one[string](t, conn, "select db_name()"); got != "master" {
		t.Error(got)
	}
	before := one[int](t, conn, "select @@spid")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	// The pool hands out the same connection, reset.
	if spid, database := one[int](t, db, "select @@spid"), one[string](t, db, "select db_name()"); spid != before || database != "shop" {
		t.Errorf("%d of %d, %s", spid, before, database)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, tx, "select @@trancount"); n != 1 {
		t.Error(n)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	_, err = db.ExecContext(t.Context(), "raiserror('the end', 20, 1) with log")
	if err == nil {
		t.Error("an error of class 20 is none")
	}
}

func TestMSSQLDBLargeResult(t *testing.T) {
	t.Parallel()
	s := start(t, tdsserver.Config{})
	for _, size := range []string{"512", "4096", "32767"} {
		db := open(t, dsn(s, "app", password, "packet size="+size))
		rows, err := db.QueryContext(t.Context(), "select value, replicate(N'x', 100) as filler from generate_series(1, 5000)")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			var value int
			var filler string
			if err := rows.Scan(&value, &filler); err != nil || value != n+1 || len(filler) != 100 {
				t.Fatal(value, len(filler), err)
			}
			n++
		}
		if err := rows.Err(); err != nil || n != 5000 {
			t.Error(n, err)
		}
		if got := one[string](t, db, "select replicate(cast('ab' as varchar(max)), 500000)"); len(got) != 1_000_000 {
			t.Error(len(got))
		}
	}
}

func TestMSSQLDBCancel(t *testing.T) {
	t.Parallel()
	db := open(t, dsn(start(t, tdsserver.Config{}), "app", password))
	db.SetMaxOpenConns(1)
	spid := one[int](t, db, "select @@spid")
	for _, query := range []string{
		"waitfor delay '01:00'", "select value, replicate(N'x', 3000) from generate_series(1, 1000000000)",
	} {
		// Not a deadline: after one the driver gives up the connection.
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(100*time.Millisecond, cancel)
		rows, err := db.QueryContext(ctx, query)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			_ = rows.Close()
		}
		timer.Stop()
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", query, err)
		}
		if got := one[int](t, db, "select @@spid"); got != spid {
			t.Errorf("another connection after %s", query)
		}
	}
}

func TestMSSQLDBEncryption(t *testing.T) {
	t.Parallel()
	ca := testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
	for _, c := range []struct {
		server           tdsserver.Encryption
		client           string
		login, all, fail bool
		strict           bool
	}{
		{server: tdsserver.EncryptionOff, client: "disable"},
		{server: tdsserver.EncryptionOff, client: "false", login: true},
		{server: tdsserver.EncryptionOff, client: "true", login: true, all: true},
		{server: tdsserver.EncryptionOff, client: "strict", login: true, all: true, strict: true},
		{server: tdsserver.EncryptionRequired, client: "disable", fail: true},
		{server: tdsserver.EncryptionRequired, client: "false", login: true, all: true},
		{server: tdsserver.EncryptionRequired, client: "true", login: true, all: true},
		{server: tdsserver.EncryptionNotSupported, client: "disable"},
		{server: tdsserver.EncryptionNotSupported, client: "false"},
		{server: tdsserver.EncryptionNotSupported, client: "true", fail: true},
		{server: tdsserver.EncryptionNotSupported, client: "strict", fail: true},
		{server: tdsserver.EncryptionStrict, client: "strict", login: true, all: true, strict: true},
		{server: tdsserver.EncryptionStrict, client: "true", fail: true},
	} {
		s := start(t, tdsserver.Config{Encryption: c.server})
		db := open(t, dsn(s, "app", password, "encrypt="+c.client, "certificate="+ca))
		var encrypted string
		err := db.QueryRowContext(t.Context(), "select encrypt_option from sys.dm_exec_connections where session_id = @@spid").Scan(&encrypted)
		if c.fail {
			if err == nil {
				t.Errorf("%+v: no error", c)
			}
			continue
		}
		l := s.LastLogin()
		if err != nil || l.Encrypted != c.login || l.Strict != c.strict || (encrypted == "TRUE") != c.all {
			t.Errorf("%+v: %v, %+v, %s", c, err, l, encrypted)
		}
	}
}

func TestMSSQLDBRouting(t *testing.T) {
	t.Parallel()
	behind := start(t, tdsserver.Config{})
	gateway := start(t, tdsserver.Config{RouteTo: behind.Addr().String()})
	db := open(t, dsn(gateway, "app", password))
	if got := one[string](t, db, "select db_name()"); got != "shop" {
		t.Error(got)
	}
	if len(gateway.Logins()) != 1 || len(behind.Logins()) != 1 {
		t.Error(len(gateway.Logins()), len(behind.Logins()))
	}
}
