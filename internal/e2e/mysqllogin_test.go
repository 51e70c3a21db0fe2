//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

// Every way to log in to MariaDB.
func TestMySQLEveryAuthenticationMethod(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{})
	u := server.Users
	verify := pemLines(testenv.KeyPair{}, server.CA.CAPEM)
	certificate := server.CA.Client(t, "anybody")
	for name, s := range map[string]mysqlService{
		"native":          {user: u.Native},
		"native tls":      {user: u.Native, sslmode: "require"},
		"native prefer":   {user: u.Native, sslmode: "prefer"},
		"native socket":   {user: u.Native, host: server.Socket()},
		"verify-ca":       {user: u.Native, sslmode: "verify-ca", more: verify},
		"verify-full":     {user: u.Native, sslmode: "verify-full", more: verify},
		"ed25519":         {user: u.Ed25519},
		"ed25519 tls":     {user: u.Ed25519, sslmode: "require"},
		"ed25519 socket":  {user: u.Ed25519, host: server.Socket()},
		"require ssl":     {user: u.TLSOnly, sslmode: "require"},
		"require, prefer": {user: u.TLSOnly, sslmode: "prefer"},
		"x509":            {user: u.X509, sslmode: "verify-full", more: pemLines(certificate, server.CA.CAPEM)},
		"ipv6":            {user: u.Native, host: "::1"},
	} {
		if name == "ipv6" && !server.IPv6 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.port = server.Port
			p := startMySQL(t, s).place(s.user.Name)
			expectMySQLUser(t, p.config(), s.user.Name)
			expectMySQLUser(t, p.overSocket(), s.user.Name)
		})
	}
}

// Every way to log in to MySQL 8: the first login with caching_sha2_password is
// a full one, the second a fast one, unless all are full.
func TestMySQL8EveryAuthenticationMethod(t *testing.T) {
	for _, want := range []testenv.Facade{
		{}, {FullAuth: true}, {Method: "sha256_password"}, {Method: "mysql_native_password"},
	} {
		for _, sslmode := range []string{"disable", "require", "verify-full"} {
			t.Run(fmt.Sprintf("%s %v/%s", want.Method, want.FullAuth, sslmode), func(t *testing.T) {
				f := testenv.NewMySQLFacade(t, want)
				s := mysqlService{user: f.Users.Native, port: f.Port, sslmode: sslmode, more: pemLines(testenv.KeyPair{}, f.CA.CAPEM)}
				p := startMySQL(t, s).place(s.user.Name)
				for range 2 {
					expectMySQLUser(t, p.config(), s.user.Name)
					expectMySQLUser(t, p.overSocket(), s.user.Name)
				}
			})
		}
	}
}

// Every failure reaches the client as an ERR packet that says what and where.
func TestMySQLEveryFailure(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{})
	noTLS := testenv.MariaDB(t, testenv.Maria{NoTLS: true})
	wrongHost := testenv.MariaDB(t, testenv.Maria{Cert: testenv.CertWrongHost})
	facade := testenv.MySQLFacade(t, testenv.Facade{})
	u := server.Users
	verify := pemLines(testenv.KeyPair{}, server.CA.CAPEM)
	wrong := func(user testenv.User) testenv.User { user.Password = "wrong-" + user.Password; return user }
	dead := testenv.Refusing(t).Port
	for name, c := range map[string]struct {
		service  mysqlService
		database string
		number   uint16
		text     []string
	}{
		"wrong password":         {service: mysqlService{user: wrong(u.Native)}, number: 1045, text: []string{"Access denied", u.Native.Name}},
		"wrong ed25519 password": {service: mysqlService{user: wrong(u.Ed25519)}, number: 1045, text: []string{"Access denied", u.Ed25519.Name}},
		"wrong sha2 password":    {service: mysqlService{user: wrong(u.Native), port: facade.Port, sslmode: "require"}, number: 1045, text: []string{"Access denied"}},
		"wrong sha2, rsa":        {service: mysqlService{user: wrong(u.Limited), port: facade.Port}, number: 1045, text: []string{"Access denied"}},
		"tls is required":        {service: mysqlService{user: u.TLSOnly}, number: 1045, text: []string{"Access denied"}},
		"certificate required":   {service: mysqlService{user: u.X509, sslmode: "require"}, number: 1045, text: []string{"Access denied"}},
		"database not granted":   {service: mysqlService{user: u.Limited}, number: 1044, text: []string{testenv.Database}},
		"unknown database":       {service: mysqlService{user: u.Admin}, database: "nonesuch", number: 1049, text: []string{"nonesuch"}},
		"unknown database, sha2": {service: mysqlService{user: u.Admin, port: facade.Port, sslmode: "require"}, database: "nonesuch", number: 1049, text: []string{"nonesuch"}},
		"account locked":         {service: mysqlService{user: u.Locked}, number: 4151, text: []string{"locked"}},
		"dead target":            {service: mysqlService{user: u.Native, port: dead}, text: []string{fmt.Sprint(dead), "refused"}},
		"unknown name":           {service: mysqlService{user: u.Native, host: "no-such-host.invalid"}, text: []string{"no-such-host.invalid"}},
		"tls refused":            {service: mysqlService{user: u.Native, port: noTLS.Port, sslmode: "require"}, text: []string{"TLS", "sslmode"}},
		"unknown authority":      {service: mysqlService{user: u.Native, sslmode: "verify-ca"}, text: []string{"certificate"}},
		"wrong host":             {service: mysqlService{user: u.Native, port: wrongHost.Port, sslmode: "verify-full", more: verify}, text: []string{"127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.service.port == 0 {
				c.service.port = server.Port
			}
			config := startMySQL(t, c.service).place("").config()
			if c.database != "" {
				config.DBName = c.database
			}
			got := mysqlRefusal(t, config)
			if c.number != 0 && got.Number != c.number {
				t.Errorf("number %d, want %d (%s)", got.Number, c.number, got.Message)
			}
			for _, want := range c.text {
				if !strings.Contains(got.Message, want) {
					t.Errorf("the error lacks %q: %s", want, got.Message)
				}
			}
			if p := c.service.user.Password; p != "" && strings.Contains(got.Message, p) {
				t.Error("the password is in the error")
			}
		})
	}
}

// A provider that has nothing fails the connection, not the broker.
func TestMySQLMissingCredential(t *testing.T) {
	server := testenv.MariaDB(t, testenv.Maria{})
	r := prepare(t)
	yaml := r.mysqlYAML(mysqlService{user: server.Users.Native, port: server.Port})
	delete(r.env, "DB_PASSWORD")
	r.run(yaml)
	got := mysqlRefusal(t, r.place("").config())
	if !strings.Contains(got.Message, "DB_PASSWORD") || !strings.Contains(got.Message, "env") {
		t.Errorf("the error does not name provider and id: %s", got.Message)
	}
}
