package testenv_test

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"secretless/internal/testenv"
)

// mysqlLogin logs in, asks one question and returns the number of a refusal.
func mysqlLogin(t *testing.T, c *mysql.Config) (number uint16, err error) {
	t.Helper()
	db, err := testenv.Connect(t, c)
	if err == nil {
		var one int
		err = db.QueryRowContext(t.Context(), "select 1").Scan(&one)
	}
	if refusal, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return refusal.Number, err
	}
	return 0, err
}

func TestMariaDBUsersLogInAsTheirNamesSay(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	u := s.Users
	none := testenv.KeyPair{}
	cert := s.CA.Client(t, u.X509.Name)
	type login struct {
		user     testenv.User
		tls      *tls.Config
		unix     bool
		database string
		want     uint16
	}
	for name, c := range map[string]login{
		"admin":                {user: u.Admin},
		"native":               {user: u.Native},
		"native, unix":         {user: u.Native, unix: true},
		"native, tls":          {user: u.Native, tls: s.CA.MySQLTLS(t, none)},
		"native, wrong":        {user: testenv.User{Name: u.Native.Name, Password: "wrong"}, want: 1045},
		"native, no database":  {user: u.Native, database: "nonesuch", want: 1044},
		"admin, no database":   {user: u.Admin, database: "nonesuch", want: 1049},
		"ed25519":              {user: u.Ed25519},
		"ed25519, tls":         {user: u.Ed25519, tls: s.CA.MySQLTLS(t, none)},
		"ed25519, wrong":       {user: testenv.User{Name: u.Ed25519.Name, Password: "wrong"}, want: 1045},
		"tls only":             {user: u.TLSOnly, tls: s.CA.MySQLTLS(t, none)},
		"tls only, plain":      {user: u.TLSOnly, want: 1045},
		"x509":                 {user: u.X509, tls: s.CA.MySQLTLS(t, cert)},
		"x509, no certificate": {user: u.X509, tls: s.CA.MySQLTLS(t, none), want: 1045},
		"x509, plain":          {user: u.X509, want: 1045},
		"empty":                {user: u.Empty},
		"empty, wrong":         {user: testenv.User{Name: u.Empty.Name, Password: "wrong"}, want: 1045},
		"limited":              {user: u.Limited, want: 1044},
		"locked":               {user: u.Locked, want: 4151},
		"expired":              {user: u.Expired, want: 1820},
		"nobody":               {user: testenv.User{Name: "nobody", Password: "x"}, want: 1045},
	} {
		t.Run(name, func(t *testing.T) {
			config := s.Config(c.user)
			config.TLS = c.tls
			if c.unix {
				config.Net, config.Addr = "unix", s.Socket()
			}
			if c.database != "" {
				config.DBName = c.database
			}
			if number, err := mysqlLogin(t, config); number != c.want || (err == nil) != (c.want == 0) {
				t.Errorf("got %d, %v; want %d", number, err, c.want)
			}
		})
	}
}

// The server itself must ask for what the user's name says.
func TestMariaDBAsksForTheMethod(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	db, err := testenv.Connect(t, s.Config(s.Users.Admin))
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[testenv.User][2]string{
		s.Users.Native: {"mysql_native_password", ""}, s.Users.Ed25519: {"ed25519", ""},
		s.Users.TLSOnly: {"mysql_native_password", "ANY"}, s.Users.X509: {"mysql_native_password", "X509"},
	} {
		var got [2]string
		row := db.QueryRowContext(t.Context(), "select plugin, ssl_type from mysql.user where user = ?", user.Name)
		if err := row.Scan(&got[0], &got[1]); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", user.Name, got, err, want)
		}
	}
}

func TestMariaDBVariants(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{NoTLS: true})
	config := s.Config(s.Users.Native)
	if _, err := mysqlLogin(t, config); err != nil {
		t.Error(err)
	}
	config.TLS = s.CA.MySQLTLS(t, testenv.KeyPair{})
	if _, err := mysqlLogin(t, config); !errors.Is(err, mysql.ErrNoTLS) {
		t.Errorf("a server without TLS: %v", err)
	}
	if testenv.MariaDB(t, testenv.Maria{NoTLS: true}) != s || testenv.MariaDB(t, testenv.Maria{}) == s {
		t.Error("equal wishes share a server, others do not")
	}
}

func TestMariaDBLifecycle(t *testing.T) {
	s := testenv.NewMariaDB(t, testenv.Maria{NoTLS: true})
	s.Exec(t, "create table app.kept (n int)")
	config := s.Config(s.Users.Full)
	s.Kill()
	if _, err := mysqlLogin(t, config); err == nil {
		t.Error("a killed server takes connections")
	}
	s.Restart(t)
	if _, err := mysqlLogin(t, config); err != nil {
		t.Error(err)
	}
	if number, err := mysqlLogin(t, config); number != 1226 {
		t.Errorf("over the limit: %v", err)
	}
	s.Stop()
	s.Stop()
	if _, err := mysqlLogin(t, s.Config(s.Users.Native)); err == nil {
		t.Error("a stopped server takes connections")
	}
	s.Restart(t)
	s.Exec(t, "select * from app.kept")
}
