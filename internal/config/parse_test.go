package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const everything = `
version: "2"
services:
  orders:
    connector: pg
    listenOn: [tcp://localhost:5432, unix:///run/orders.sock, systemd://orders]
    credentials:
      host: db.internal
      port: 5432
      username: {from: env, get: PG_USER}
      password: {from: prod, get: "database/creds/orders#password"}
      sslmode: {from: literal, get: require}
    config: {enforce: [search_path]}
    allow: {users: [app, 1000], groups: db, executables: [/usr/bin/psql]}
    socket: {mode: "0660", owner: app, group: db}
    limits: {connections: 500, connectTimeout: 1s, handshakeTimeout: 2s, idleTimeout: 1h}
    drain: 5s
    tls: {cert: /etc/s/tls.crt, key: {from: file, get: /etc/s/tls.key}, clientCA: /etc/s/ca.crt}
  plain:
    connector: pg
    listenOn: tcp://localhost:5433
providers:
  prod: {type: vault, cache: 0s, timeout: 1s, staleIfError: 2s, address: "https://vault:8200"}
  bare: {type: env}
admin: {health: "tcp://127.0.0.1:9000", socket: "unix:///run/admin.sock"}
audit: {to: ["file:///var/log/audit.jsonl", syslog], required: true, maxSize: 100MiB, keep: 7, fsync: true, syslog: {format: rfc5424, facility: local3}}
state: /var/lib/secretless
`

func TestParseEverything(t *testing.T) {
	f := parse(t, everything)
	if len(f.Warnings) != 0 {
		t.Errorf("warnings %v", f.Warnings)
	}
	s := f.Services[0]
	got := []any{
		s.Name, s.Connector, s.Listen[0].String(), s.Listen[1].String(), s.Listen[2].String(),
		s.Allow.Users, s.Allow.Groups, s.Allow.Executables, uint32(s.Socket.Mode), s.Socket.Owner, s.Socket.Group, s.Socket.Set,
		s.Limits, s.Drain, s.TLS.Cert, s.TLS.Key.From, s.TLS.Key.Get, s.TLS.ClientCA, s.Config.Keys(),
		f.Admin.Health.String(), f.Admin.Socket.String(), f.Audit, f.State,
	}
	want := []any{
		"orders", "pg", "tcp://localhost:5432", "unix:///run/orders.sock", "systemd://orders",
		[]string{"app", "1000"},
		[]string{"db"},
		[]string{"/usr/bin/psql"},
		uint32(0o660), "app", "db", true,
		Limits{500, time.Second, 2 * time.Second, time.Hour},
		5 * time.Second, "/etc/s/tls.crt", "file", "/etc/s/tls.key", "/etc/s/ca.crt",
		[]string{"enforce"},
		"tcp://127.0.0.1:9000", "unix:///run/admin.sock",
		Audit{
			To: []string{"file:///var/log/audit.jsonl", "syslog"}, Required: true, MaxSize: 100 << 20, Keep: 7, Fsync: true,
			Syslog: AuditSyslog{RFC5424: true, Facility: "local3"}, Pos: f.Audit.Pos,
		},
		"/var/lib/secretless",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	p := f.Providers[0]
	if p.Name != "prod" || p.Type != "vault" || *p.Cache != 0 || p.Timeout != time.Second || p.StaleIfError != 2*time.Second ||
		!reflect.DeepEqual(p.Settings.Keys(), []string{"address"}) {
		t.Errorf("provider %+v", p)
	}
}

func TestCredentials(t *testing.T) {
	f := parse(t, everything)
	var got []string
	for _, c := range f.Services[0].Credentials {
		got = append(got, c.Name+" "+c.From+" "+c.Get+" "+string(c.Literal.Bytes()))
	}
	want := []string{
		"host literal  db.internal", "port literal  5432", "username env PG_USER ",
		"password prod database/creds/orders#password ", "sslmode literal  require",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Scalars are taken as written, whatever YAML takes them for.
func TestScalarsAreText(t *testing.T) {
	for text, want := range map[string]string{
		"yes": "yes", "0123": "0123", "1.10": "1.10", "1_000": "1_000", "2001-01-01": "2001-01-01", "True": "True",
		"0x1F": "0x1F", "'~'": "~", "~": "", "''": "", "!!binary aGk=": "hi", "!!str 5": "5", "<<": "<<",
	} {
		f := parse(t, service(listenHere, "credentials: {host: "+text+"}"))
		if got := string(f.Services[0].Credentials[0].Literal.Bytes()); got != want {
			t.Errorf("%s: got %q", text, got)
		}
	}
}

func TestDefaults(t *testing.T) {
	f := parse(t, everything)
	s := f.Services[1]
	if want := (Limits{10000, 10 * time.Second, 15 * time.Second, 0}); s.Limits != want {
		t.Errorf("limits %+v", s.Limits)
	}
	if s.Drain != 30*time.Second || s.Socket.Mode != 0o600 || s.Socket.Set || s.Allow != nil || s.TLS != nil || !s.Config.Empty() {
		t.Errorf("service %+v", s)
	}
	if p := f.Providers[1]; p.Cache != nil || p.Timeout != 5*time.Second || p.StaleIfError != 0 {
		t.Errorf("provider %+v", p)
	}
	f = parse(t, service(listenHere))
	if f.Admin.Health.String() != "tcp://127.0.0.1:5335" || f.Admin.Health.Pos != (Pos{}) || f.Admin.Socket != nil || f.Audit.To != nil {
		t.Errorf("admin %+v audit %+v", f.Admin, f.Audit)
	}
	for _, off := range []string{"off", `"off"`, "false"} {
		f, err := Parse("s.yml", []byte(service(listenHere)+"admin: {health: "+off+", socket: "+off+"}\n"), Options{AdminSocket: "/run/x/admin.sock"})
		if err != nil || f.Admin.Health != nil || f.Admin.Socket != nil || !f.Admin.SocketOff {
			t.Errorf("%s: %+v, %v", off, f, err)
		}
	}
}

func TestVersions(t *testing.T) {
	body := strings.TrimPrefix(service(listenHere), `version: "2"`)
	for _, v := range []string{"2", `"2"`, "v2", `"v2"`} {
		parse(t, "version: "+v+body)
	}
}

func TestModes(t *testing.T) {
	for text, want := range map[string]uint32{`"0660"`: 0o660, "0660": 0o660, "0o660": 0o660, `"660"`: 0o660, "0": 0, `"0777"`: 0o777} {
		f := parse(t, service("listenOn: unix:///a", "socket: {mode: "+text+"}"))
		if got := uint32(f.Services[0].Socket.Mode); got != want {
			t.Errorf("%s: %o", text, got)
		}
	}
}

// What a map says itself wins over what it merges; the first of several
// merged maps wins over the next.
func TestAliasesAndMerges(t *testing.T) {
	f := parse(t, `
version: "2"
services:
  a: &a
    connector: pg
    listenOn: tcp://localhost:1
    limits: &l {connections: 1, idleTimeout: 1s}
  b:
    <<: *a
    listenOn: tcp://localhost:2
    limits: {connections: 2, <<: [*l, {idleTimeout: 9s, connectTimeout: 3s}]}
`)
	b := f.Services[1]
	if b.Connector != "pg" || b.Listen[0].Address != "localhost:2" || len(b.Listen) != 1 ||
		b.Limits != (Limits{2, 3 * time.Second, 15 * time.Second, time.Second}) {
		t.Errorf("%+v", b)
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{service("listenOn: tcp://:5432"), "s.yml:5:15: tcp://:5432 listens on every interface: any host that can reach this machine can use the service without a credential of its own; tcp://localhost:5432 is for programs on this machine alone"},
		{service("listenOn: tcp://0.0.0.0:5432"), "s.yml:5:15: tcp://0.0.0.0:5432 listens on every interface: any host that can reach this machine can use the service without a credential of its own; tcp://localhost:5432 is for programs on this machine alone"},
		{service("listenOn: 'tcp://[::]:5432'"), "s.yml:5:15: tcp://[::]:5432 listens on every interface: any host that can reach this machine can use the service without a credential of its own; tcp://localhost:5432 is for programs on this machine alone"},
		{service("listenOn: tcp://192.0.2.1:5432"), "s.yml:5:15: tcp://192.0.2.1:5432 listens on an address of the network: any host that can reach this machine can use the service without a credential of its own; tcp://localhost:5432 is for programs on this machine alone"},
		{service("listenOn: tcp://db.local:5432"), ""},
		{service("listenOn: 'tcp://[::1]:5432'"), ""},
		{service("listenOn: tcp://127.0.0.2:5432"), ""},
		{service("listenOn: tcp://:5432", "tls: {cert: /c, key: /k, clientCA: /ca}"), ""},
		{service("listenOn: unix:///a", "socket: {mode: '0666'}"), "s.yml:6:14: mode 0666 lets every user of this machine connect; a group with mode 0660, or allow, admits only whom you name"},
		{service(listenHere, "protocol: mysql"), "s.yml:6:5: protocol is deprecated, and connector wins over it; remove protocol"},
		{service(listenHere, "debug: true"), "s.yml:6:5: debug has no effect; remove it, and start the broker with --log-level debug"},
		{strings.Replace(service(listenHere), "connector:", "protocol:", 1), "s.yml:4:5: protocol is deprecated; write connector: pg"},
		{service(listenHere, "credentials: {host: }"), `s.yml:6:19: credential "host" has no value and counts as empty; write "" if that is meant`},
		{service(listenHere) + "admin: {health: 'tcp://:5335'}\n", "s.yml:6:17: tcp://:5335 listens on every interface: any host that can reach this machine can read the broker's health; tcp://localhost:5335 is for programs on this machine alone"},
	} {
		f := parse(t, c.text)
		if got := Errors(f.Warnings).Error(); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestProtocolHTTP(t *testing.T) {
	f := parse(t, `
version: 2
services:
  a:
    protocol: http
    listenOn: tcp://localhost:8080
    config: {authenticationStrategy: aws, authenticateURLsMatching: [.*]}
`)
	s := f.Services[0]
	if s.Connector != "aws" || !reflect.DeepEqual(s.Config.Keys(), []string{"authenticateURLsMatching"}) || len(f.Warnings) != 1 {
		t.Errorf("%s %v %v", s.Connector, s.Config.Keys(), f.Warnings)
	}
}

// Addresses that look alike but are different sockets.
func TestNoConflict(t *testing.T) {
	parse(t, `
version: "2"
services:
  a: {connector: pg, listenOn: ["tcp://127.0.0.1:5432", "tcp://[::1]:5432"]}
  b: {connector: pg, listenOn: [tcp://127.0.0.2:5432, tcp://localhost:0, tcp://localhost:0]}
  c: {connector: aws, listenOn: tcp://localhost:8080}
  d: {connector: conjur, listenOn: tcp://localhost:8080}
admin: {health: off}
`)
}

// With mistakes of its own a file still comes back, so that others can add
// theirs; without a connector a service does not.
func TestPartialFile(t *testing.T) {
	f, err := Parse("s.yml", []byte(service(listenHere, "zebra: 1")+"  x:\n    listenOn: tcp://localhost:9\n"), offline())
	if err == nil || f == nil || len(f.Services) != 1 || f.Services[0].Name != "db" {
		t.Errorf("%v %+v", err, f)
	}
	joined := Join("s.yml", err, Errors{f.Errorf(f.Services[0].Locate("connector"), "no such connector")}, nil)
	lines := strings.Split(joined.Error(), "\n")
	if len(lines) != 3 || lines[0] != "s.yml:4:5: no such connector" {
		t.Errorf("%q", lines)
	}
}
