package mssql

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/connectortest"
	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
	"secretless/internal/wire/tds"
)

// dial connects to the front.
func dial(t *testing.T, f *front) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	return conn
}

// refusal is how a login through the front ends: "number text", with the
// target's port replaced by PORT and without the service at the end.
func refusal(t *testing.T, f *front, l tds.Login7, target *fakeTarget) string {
	t.Helper()
	_, err := loginWith(dial(t, f), l, nil)
	r, ok := errors.AsType[*connectortest.Refusal](err)
	if !ok {
		t.Fatalf("got %v, want an error of the protocol", err)
	}
	text := strings.TrimSuffix(r.Code+" "+r.Text, " (service orders-db, connection 1)")
	if target != nil {
		text = strings.ReplaceAll(text, ":"+target.Port(), ":PORT")
	}
	return text
}

// Whatever goes wrong, the client gets a number and a text that say so.
func TestFailures(t *testing.T) {
	serverError := func(number int32, text string) []byte {
		return sorry(tds.ServerError{Number: number, State: 1, Class: 14, Message: text})
	}
	obfuscated, err := tds.ObfuscatePassword([]byte(testPassword))
	if err != nil || len(testPassword)%2 != 0 {
		t.Fatal("the password makes no text of its bytes", err)
	}
	closing := func(conn net.Conn) { _, _ = readLogin(conn) }
	const at = "the target 127.0.0.1:PORT"
	tests := map[string]struct {
		script func(net.Conn)
		creds  []string
		login  func(*tds.Login7)
		want   string
		kind   connector.Kind
	}{
		"password rejected": {script: answering(sorry(loginFailed)), want: "18456 Login failed for user 'app'.", kind: connector.KindRejected},
		"password expired":  {script: answering(serverError(18487, "expired")), want: "18487 expired", kind: connector.KindRejected},
		"login disabled":    {script: answering(serverError(18470, "disabled")), want: "18470 disabled", kind: connector.KindDenied},
		"login locked":      {script: answering(serverError(18486, "locked")), want: "18486 locked", kind: connector.KindDenied},
		"no such database":  {script: answering(sorry(tds.ServerError{Number: 4060, Class: 11, Message: "Cannot open database"}, loginFailed)), want: "4060 Cannot open database", kind: connector.KindTarget},
		"firewall of Azure": {script: answering(serverError(40615, "Client with IP address")), want: "40615 Client with IP address", kind: connector.KindTarget},
		"password repeated": {script: answering(serverError(18456, "not "+testPassword)), want: "18456 secretless: logging in: " + at + " refused with an error that repeats the password, which is withheld", kind: connector.KindRejected},
		"password repeated as sent": {
			script: answering(serverError(18456, tds.Text(obfuscated).String())), want: "18456 secretless: logging in: " + at + " refused with an error that repeats the password, which is withheld", kind: connector.KindRejected,
		},
		"password repeated in UTF-8": {
			script: answering(serverError(18456, tds.Text(testPassword).String())), want: "18456 secretless: logging in: " + at + " refused with an error that repeats the password, which is withheld", kind: connector.KindRejected,
		},
		"target closes early":    {script: func(net.Conn) {}, want: "10054 secretless: asking for TLS: " + at + " closed the connection; its log may say why", kind: connector.KindTargetLost},
		"target closes late":     {script: closing, want: "10054 secretless: logging in: " + at + " closed the connection; its log may say why", kind: connector.KindTargetLost},
		"no TDS":                 {script: saying([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), want: "50004 secretless: asking for TLS: the answer of " + at + " is malformed (packet: type 0x48 instead of 0x04); does it speak TDS?", kind: connector.KindProtocol},
		"malformed PRELOGIN":     {script: saying(reply([]byte{1, 2, 3})), want: "50004 secretless: asking for TLS: the answer of " + at + " is malformed (PRELOGIN: the table of options does not end); does it speak TDS?", kind: connector.KindProtocol},
		"talkative PRELOGIN":     {script: saying(append(serverPrelogin(tds.EncryptNotSupported, 0), 1)), want: "50004 secretless: asking for TLS: " + at + " sent more than was asked for; a faulty server or somebody in the middle", kind: connector.KindProtocol},
		"unknown token":          {script: answering(reply([]byte{0x81, 0, 0})), want: "50004 secretless: logging in: the answer of " + at + " is malformed (token: type 0x81 in a login's response); does it speak TDS?", kind: connector.KindProtocol},
		"empty answer":           {script: answering(reply(nil)), want: "50004 secretless: logging in: " + at + " answered with neither LOGINACK nor an error", kind: connector.KindProtocol},
		"Windows authentication": {script: answering(reply(tds.AppendToken(nil, tds.TokenSSPI, []byte("NTLMSSP")))), want: "50005 secretless: logging in: " + at + " asks for Windows authentication; it must allow SQL logins (mixed mode)", kind: connector.KindTarget},
		"Entra authentication":   {script: answering(reply([]byte{byte(tds.TokenFedAuthInfo), 0, 0, 0, 0})), want: "50005 secretless: logging in: " + at + " asks for federated authentication; it must allow SQL logins", kind: connector.KindTarget},
		"encryption demanded":    {script: saying(serverPrelogin(tds.EncryptRequired, 0)), want: "50003 secretless: " + at + " demands encryption, which sslmode disable rules out; set sslmode to verify-full or require", kind: connector.KindTLS},
		"no TLS": {
			script: saying(serverPrelogin(tds.EncryptNotSupported, 0)), creds: []string{"sslmode", "require"},
			want: "50003 secretless: " + at + " does not offer TLS, which sslmode require demands; enable it there, or set sslmode to disable if the network is safe", kind: connector.KindTLS,
		},
		"encryption for the login alone": {
			script: saying(serverPrelogin(tds.EncryptOff, 0)), creds: []string{"sslmode", "require"},
			want: "50004 secretless: asking for TLS: " + at + " gave answer 0x00 to question 0x01, which is none", kind: connector.KindProtocol,
		},
		"TLS breaks off": {
			script: func(conn net.Conn) {
				saying(append(serverPrelogin(tds.EncryptOn, 0), reply([]byte("no TLS"))...))(conn)
			}, creds: []string{"sslmode", "require"},
			want: "50004 secretless: asking for TLS: " + at + " sent more than was asked for; a faulty server or somebody in the middle", kind: connector.KindProtocol,
		},
		"unencrypted route elsewhere": {
			script: answering(reply(tds.Routing{Server: "evil.example", Port: 1433}.Append(nil))),
			want:   "50005 secretless: logging in: " + at + " routes the login to evil.example:1433 over a connection without encryption, which anybody could have done; set sslmode to verify-full or require", kind: connector.KindTarget,
		},
		"route to a socket": {
			script: answering(reply(tds.Routing{Server: "/run/x.sock", Port: 1433}.Append(nil))),
			want:   `50005 secretless: logging in: ` + at + ` routes the login to "/run/x.sock", which is no host`, kind: connector.KindTarget,
		},
		"unknown host": {
			creds: []string{"host", "nowhere.invalid", "port", "1"},
			want:  "11001 secretless: resolving the target nowhere.invalid:1: no such host; check the credential host, and the name server of the broker's machine", kind: connector.KindResolve,
		},
		"nothing listens":   {creds: []string{"port", "1"}, want: "10061 secretless: connecting to the target 127.0.0.1:1: connection refused; check that the target runs there and the credentials host and port", kind: connector.KindConnect},
		"unknown sslmode":   {creds: []string{"sslmode", "on"}, want: `50002 secretless: credentials of the service: sslmode "on" is unknown; use one of disable, prefer, require, verify-ca, verify-full, strict`, kind: connector.KindConfig},
		"socket as host":    {creds: []string{"host", "/run/x"}, want: `50002 secretless: credentials of the service: host "/run/x" is a socket path, and SQL Server listens on TCP only`, kind: connector.KindConfig},
		"no password":       {creds: []string{"password", ""}, want: "50002 secretless: credentials of the service: password is absent or empty; look at what its provider returns", kind: connector.KindConfig},
		"no username":       {creds: []string{"username", ""}, want: "50002 secretless: credentials of the service: username is empty", kind: connector.KindConfig},
		"long password":     {creds: []string{"password", strings.Repeat("p", 129)}, want: "50002 secretless: credentials of the service: password is longer than 128 characters", kind: connector.KindConfig},
		"binary password":   {creds: []string{"password", "\xff\xfe"}, want: "50002 secretless: credentials of the service: password is no UTF-8 text", kind: connector.KindConfig},
		"change password":   {login: func(l *tds.Login7) { l.OptionFlags3 |= tds.Flag3ChangePassword }, want: "50006 secretless: the client asks to change the password of the login, which is the broker's; change it where it is kept", kind: connector.KindProtocol},
		"change, unflagged": {login: func(l *tds.Login7) { l.ChangePassword = []byte{1, 2} }, want: "50006 secretless: the client asks to change the password of the login, which is the broker's; change it where it is kept", kind: connector.KindProtocol},
		"federated login": {
			login: func(l *tds.Login7) {
				l.Features = []tds.Feature{{ID: 0x0A, Data: []byte{1}}, {ID: tds.FeatureFedAuth, Data: []byte{2}}}
			},
			want: "50006 secretless: the client asks for federated (Microsoft Entra) authentication, and the broker logs in with a SQL login; connect with SQL authentication, any name and password", kind: connector.KindProtocol,
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := c.script
			if script == nil {
				script = answering(welcome(tds.Version74))
			}
			target := newFakeTarget(t, script)
			f := newFront(t, target.creds(c.creds...))
			l := clientLogin()
			if c.login != nil {
				c.login(&l)
			}
			if got := refusal(t, f, l, target); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if kind := connector.KindOf(f.Result(0)); kind != c.kind {
				t.Errorf("kind %s, want %s", kind, c.kind)
			}
			if text := f.Result(0).Error(); strings.Contains(text, testPassword) {
				t.Errorf("the log has the password: %s", text)
			}
		})
	}
}

func TestProviderFails(t *testing.T) {
	f := newFront(t, map[string]string{})
	f.Credentials.Err = errors.New("vault: db/password: permission denied")
	if got := refusal(t, f, clientLogin(), nil); got != "50001 secretless: vault: db/password: permission denied" {
		t.Error(got)
	}
}

func TestSilentTarget(t *testing.T) {
	target := newFakeTarget(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	f := newFront(t, target.creds())
	f.Connect = 50 * time.Millisecond
	if got := refusal(t, f, clientLogin(), target); got != "10060 secretless: asking for TLS: the target 127.0.0.1:PORT did not answer in time" {
		t.Error(got)
	}
}

func TestRefusedByTheBroker(t *testing.T) {
	for kind, want := range map[connector.Kind]string{
		connector.KindLimit:    "10928 secretless: no room",
		connector.KindStopping: "40613 secretless: no room",
		connector.KindInternal: "50000 secretless: no room",
	} {
		f := newFront(t, map[string]string{})
		f.Refuse = &connector.Failure{Kind: kind, Err: errors.New("no room")}
		if got := refusal(t, f, clientLogin(), nil); got != want {
			t.Error(got)
		}
		if f.Credentials.Lookups() > 0 {
			t.Error("credentials for a refusal")
		}
	}
}

// Certificates that are not what sslmode asks for.
func TestCertificates(t *testing.T) {
	for name, c := range map[string]struct {
		cert testenv.Cert
		mode string
		want string
	}{
		"other authority, require": {testenv.CertOtherCA, "require", "certificate signed by an authority that is not trusted"},
		"other authority":          {testenv.CertOtherCA, "verify-ca", "certificate signed by an authority that is not trusted"},
		"other authority, strict":  {testenv.CertOtherCA, "strict", "certificate signed by an authority that is not trusted"},
		"other name":               {testenv.CertWrongHost, "verify-full", "set sslhost to a name in the certificate"},
		"other name, strict":       {testenv.CertWrongHost, "strict", "set sslhost to a name in the certificate"},
		"expired":                  {testenv.CertExpired, "verify-ca", "certificate has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, tdsserver.Config{}, c.cert)
			got := refusal(t, newFront(t, serverCreds(t, s, "sslmode", c.mode)), clientLogin(), nil)
			if !strings.HasPrefix(got, "50003 secretless: TLS with the target") || !strings.Contains(got, c.want) {
				t.Error(got)
			}
			if len(s.Logins()) > 0 {
				t.Error("the credentials were sent")
			}
		})
	}
}

// What SQL Server does not have is refused when the file is loaded.
func TestCredentialChecks(t *testing.T) {
	checks := map[string]func(string) error{}
	for _, c := range Definition().Credentials {
		checks[c.Name] = c.Check
	}
	for _, test := range []struct{ credential, literal, want string }{
		{"host", "db.internal", ""},
		{"host", "/run/db.sock", "listens on TCP only"},
		{"host", `db\instance`, "neither a name"},
		{"username", "", "username is empty"},
		{"sslmode", "strict", ""},
		{"sslmode", "stricter", "strict"},
	} {
		err := checks[test.credential](test.literal)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %q: %v", test.credential, test.literal, err)
		}
	}
}
