//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

const encryptOption = "select encrypt_option from sys.dm_exec_connections where session_id = @@spid"

// Every sslmode with every kind of target that it accepts. The client speaks
// plain text to the broker and knows nothing of all that.
func TestMSSQLEverySSLMode(t *testing.T) {
	ca := testenv.CA(t)
	verify := pemLines(testenv.KeyPair{}, ca.CAPEM)
	certificate := pemLines(ca.Client(t, "broker"), ca.CAPEM)
	for name, c := range map[string]struct {
		target    tdsserver.Encryption
		service   mssqlService
		cert      testenv.Cert
		clientCAs bool
		encrypted string
		login     bool // over TLS
		strict    bool
	}{
		"disable":                {tdsserver.EncryptionNotSupported, mssqlService{sslmode: "disable"}, 0, false, "FALSE", false, false},
		"disable, target off":    {tdsserver.EncryptionOff, mssqlService{sslmode: "disable"}, 0, false, "FALSE", false, false},
		"prefer, target without": {tdsserver.EncryptionNotSupported, mssqlService{sslmode: "prefer"}, 0, false, "FALSE", false, false},
		"prefer":                 {tdsserver.EncryptionRequired, mssqlService{sslmode: "prefer"}, 0, false, "TRUE", true, false},
		"require":                {tdsserver.EncryptionOff, mssqlService{sslmode: "require"}, 0, false, "TRUE", true, false},
		"require, wrong name":    {tdsserver.EncryptionRequired, mssqlService{sslmode: "require"}, testenv.CertWrongHost, false, "TRUE", true, false},
		"verify-ca":              {tdsserver.EncryptionRequired, mssqlService{sslmode: "verify-ca", more: verify}, testenv.CertWrongHost, false, "TRUE", true, false},
		"verify-full":            {tdsserver.EncryptionRequired, mssqlService{sslmode: "verify-full", more: verify}, testenv.CertRSA, false, "TRUE", true, false},
		"verify-full, sslhost":   {tdsserver.EncryptionRequired, mssqlService{sslmode: "verify-full", more: append([]string{"sslhost: wrong.example"}, verify...)}, testenv.CertWrongHost, false, "TRUE", true, false},
		"client certificate":     {tdsserver.EncryptionRequired, mssqlService{sslmode: "verify-full", more: certificate}, 0, true, "TRUE", true, false},
		"strict":                 {tdsserver.EncryptionStrict, mssqlService{sslmode: "strict", more: verify}, 0, false, "TRUE", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := tdsserver.Config{Encryption: c.target}
			if c.clientCAs {
				config.ClientCAs = ca.Pool()
			}
			server := newMSSQL(t, config, c.cert)
			c.service.port = server.Addr().Port
			r := startMSSQL(t, c.service)
			for _, socket := range []string{"", r.mssqlSocket()} {
				db := openMSSQL(t, r.mssqlDSN(), socket)
				if got := mssqlText(t, db, "select suser_name()"); got != mssqlUser.Name {
					t.Errorf("logged in as %s", got)
				}
				if got := mssqlText(t, db, encryptOption); got != c.encrypted {
					t.Errorf("encrypt_option is %s", got)
				}
			}
			l := server.LastLogin()
			if l.Encrypted != c.login || l.Strict != c.strict || (l.ClientCert == "broker") != c.clientCAs {
				t.Errorf("%+v", l)
			}
		})
	}
}

// What a client says of itself reaches the target; whom it says it is does not.
func TestMSSQLLogin7ReachesTheTarget(t *testing.T) {
	server := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	r := startMSSQL(t, mssqlService{port: server.Addr().Port, sslmode: "require"})
	db := openMSSQL(t, r.mssqlDSN("app name=żółw", "workstation id=desk", "packet size=16383", "ApplicationIntent=ReadOnly"), "")
	if got := mssqlText(t, db, "select app_name() + '/' + host_name() + '/' + db_name()"); got != "żółw/desk/shop" {
		t.Error(got)
	}
	l := server.LastLogin()
	if l.UserName != mssqlUser.Name || l.AppName != "żółw" || l.HostName != "desk" || l.PacketSize != 16383 || !l.ReadOnlyIntent ||
		l.Database != "shop" || l.InterfaceName != "go-mssqldb" || l.TDSVersion != 0x74000004 {
		t.Errorf("%+v", l)
	}
}

// A client's features are asked for, and their acknowledgement reaches it.
func TestMSSQLFeaturesReachTheTarget(t *testing.T) {
	server := newMSSQL(t, tdsserver.Config{Users: []tdsserver.User{mssqlUser, {Name: "somebody", Password: "nobodys"}}}, testenv.CertECDSA)
	brokered := startMSSQL(t, mssqlService{port: server.Addr().Port, sslmode: "require"}).mssqlPlace()
	direct := brokered
	direct.Port = server.Addr().Port
	for _, p := range []testenv.TDSPlace{direct, brokered} {
		out, err := p.Tedious(t, "const c = await open(); console.log(c.config.options.tdsVersion, c.databaseCollation?.lcid); c.close();")
		if err != nil || out != "7_4 1033\n" {
			t.Errorf("%v: %s", err, out)
		}
	}
	logins := server.Logins()
	if len(logins) != 2 || len(logins[0].Features) == 0 || !bytes.Equal(logins[0].Features, logins[1].Features) || logins[1].UserName != mssqlUser.Name {
		t.Errorf("%+v", logins)
	}
}

// The target sends the login elsewhere: the client sees nothing of it, and the
// connection behind is as protected as the first.
func TestMSSQLRouting(t *testing.T) {
	for _, sslmode := range []string{"disable", "require", "verify-full", "strict"} {
		t.Run(sslmode, func(t *testing.T) {
			t.Parallel()
			behind := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
			gateway := newMSSQL(t, tdsserver.Config{RouteTo: behind.Addr().String()}, testenv.CertECDSA)
			r := startMSSQL(t, mssqlService{
				port: gateway.Addr().Port, sslmode: sslmode, more: pemLines(testenv.KeyPair{}, testenv.CA(t).CAPEM),
			})
			encrypted := map[bool]string{false: "FALSE", true: "TRUE"}[sslmode != "disable"]
			if got := mssqlText(t, openMSSQL(t, r.mssqlDSN(), ""), encryptOption); got != encrypted {
				t.Error(got)
			}
			if len(gateway.Logins()) != 1 || len(behind.Logins()) != 1 || behind.LastLogin().Strict != (sslmode == "strict") {
				t.Errorf("%+v, %+v", gateway.Logins(), behind.Logins())
			}
		})
	}
}

// Every failure reaches the client as an ERROR token that says what and where.
func TestMSSQLEveryFailure(t *testing.T) {
	states := tdsserver.Config{Users: []tdsserver.User{
		mssqlUser,
		{Name: "disabled", Password: "pw-of-disabled", State: tdsserver.Disabled},
		{Name: "locked", Password: "pw-of-locked", State: tdsserver.Locked},
		{Name: "expired", Password: "pw-of-expired", State: tdsserver.Expired},
		{Name: "mustchange", Password: "pw-of-mustchange", State: tdsserver.MustChange},
	}}
	ca := testenv.CA(t)
	verify, other := pemLines(testenv.KeyPair{}, ca.CAPEM), pemLines(testenv.KeyPair{}, ca.OtherCAPEM)
	server := newMSSQL(t, states, testenv.CertECDSA)
	noTLS := newMSSQL(t, tdsserver.Config{Encryption: tdsserver.EncryptionNotSupported}, testenv.CertECDSA)
	required := newMSSQL(t, tdsserver.Config{Encryption: tdsserver.EncryptionRequired}, testenv.CertECDSA)
	wrongHost := newMSSQL(t, tdsserver.Config{Encryption: tdsserver.EncryptionRequired}, testenv.CertWrongHost)
	expired := newMSSQL(t, tdsserver.Config{Encryption: tdsserver.EncryptionRequired}, testenv.CertExpired)
	mutual := newMSSQL(t, tdsserver.Config{Encryption: tdsserver.EncryptionRequired, ClientCAs: ca.Pool()}, testenv.CertECDSA)
	toNowhere := newMSSQL(t, tdsserver.Config{RouteTo: fmt.Sprintf("127.0.0.1:%d", testenv.Refusing(t).Port)}, testenv.CertECDSA)
	dead := testenv.Refusing(t).Port
	port := func(s *tdsserver.Server) int { return s.Addr().Port }
	user := func(name, password string) tdsserver.User { return tdsserver.User{Name: name, Password: password} }
	for name, c := range map[string]struct {
		service mssqlService
		dsn     string
		number  int32
		text    []string
	}{
		"wrong password":       {service: mssqlService{port: port(server), user: user("app", "wrong-password")}, number: 18456, text: []string{"Login failed for user 'app'."}},
		"unknown login":        {service: mssqlService{port: port(server), user: user("nobody", "wrong-password")}, number: 18456, text: []string{"Login failed for user 'nobody'."}},
		"disabled":             {service: mssqlService{port: port(server), user: states.Users[1]}, number: 18470, text: []string{"The account is disabled"}},
		"locked":               {service: mssqlService{port: port(server), user: states.Users[2]}, number: 18486, text: []string{"locked out"}},
		"expired":              {service: mssqlService{port: port(server), user: states.Users[3]}, number: 18487, text: []string{"has expired"}},
		"must change":          {service: mssqlService{port: port(server), user: states.Users[4]}, number: 18488, text: []string{"must be changed"}},
		"unknown database":     {service: mssqlService{port: port(server)}, dsn: "database=nonesuch", number: 4060, text: []string{"nonesuch"}},
		"dead target":          {service: mssqlService{port: dead}, number: 10061, text: []string{fmt.Sprint(dead), "refused"}},
		"unknown name":         {service: mssqlService{port: port(server), host: "no-such-host.invalid"}, number: 11001, text: []string{"no-such-host.invalid"}},
		"tls not offered":      {service: mssqlService{port: port(noTLS), sslmode: "require"}, number: 50003, text: []string{"TLS", "sslmode"}},
		"tls demanded":         {service: mssqlService{port: port(required), sslmode: "disable"}, number: 50003, text: []string{"sslmode"}},
		"strict not offered":   {service: mssqlService{port: port(noTLS), sslmode: "strict", more: verify}, number: 50003, text: []string{fmt.Sprint(port(noTLS))}},
		"unknown authority":    {service: mssqlService{port: port(required), sslmode: "verify-ca", more: other}, number: 50003, text: []string{"certificate"}},
		"wrong host":           {service: mssqlService{port: port(wrongHost), sslmode: "verify-full", more: verify}, number: 50003, text: []string{"127.0.0.1"}},
		"expired certificate":  {service: mssqlService{port: port(expired), sslmode: "verify-ca", more: verify}, number: 50003, text: []string{"expired"}},
		"missing certificate":  {service: mssqlService{port: port(mutual), sslmode: "verify-ca", more: verify}, number: 50003, text: []string{"certificate"}},
		"route to nowhere":     {service: mssqlService{port: port(toNowhere)}, number: 10061, text: []string{"refused"}},
		"certificate of other": {service: mssqlService{port: port(mutual), sslmode: "verify-ca", more: pemLines(ca.Server(t, testenv.CertOtherCA), ca.CAPEM)}, number: 50003, text: []string{"certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startMSSQL(t, c.service)
			got := mssqlRefusal(t, r.mssqlDSN(c.dsn))
			number, texts := got.Number, got.Message
			if len(got.All) > 0 {
				number = got.All[0].Number
			}
			for _, e := range got.All {
				texts += " " + e.Message
			}
			if number != c.number {
				t.Errorf("number %d, want %d (%s)", number, c.number, texts)
			}
			for _, want := range c.text {
				if !strings.Contains(texts, want) {
					t.Errorf("the error lacks %q: %s", want, texts)
				}
			}
			if p := r.env["DB_PASSWORD"]; strings.Contains(fmt.Sprintf("%+v", got), p) {
				t.Error("the password is in the error")
			}
		})
	}
}

// A provider that has nothing fails the connection, not the broker.
func TestMSSQLMissingCredential(t *testing.T) {
	r := prepare(t)
	yaml := r.mssqlYAML(mssqlService{port: 1433})
	delete(r.env, "DB_PASSWORD")
	r.run(yaml)
	got := mssqlRefusal(t, r.mssqlDSN())
	if got.Number != 50001 || !strings.Contains(got.Message, "DB_PASSWORD") || !strings.Contains(got.Message, "env") {
		t.Errorf("%d %s", got.Number, got.Message)
	}
}
