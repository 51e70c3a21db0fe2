//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"secretless/internal/cli"
	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// checkup is a service that the doctor looks at, and what it should say.
type checkup struct {
	name, connector string
	// credentials are lines of YAML.
	credentials []string
	more        []string // further lines of the service
	status      string
	// kind of the failure; target, tls, detail and problem are parts.
	kind, target, tls, detail, problem string
}

// doctorResult is the command's answer about one service.
type doctorResult struct {
	Service, Status, Kind, Target, TLS, Detail, Problem, Advice string
	Providers                                                   []string
	Lookup                                                      *float64 `json:"lookup_ms"`
}

// doctor runs the command over services.
func (r *running) doctor(checkups []checkup, args ...string) (code int, stdout, stderr string) {
	r.t.Helper()
	var b strings.Builder
	b.WriteString("version: \"2\"\nservices:\n")
	for n, c := range checkups {
		fmt.Fprintf(&b, "  %s:\n    connector: %s\n    listenOn: unix://%s/%d.sock\n", c.name, c.connector, r.dir, n)
		fmt.Fprintf(&b, "    credentials:\n      %s\n", strings.Join(c.credentials, "\n      "))
		for _, line := range c.more {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	fmt.Fprintf(&b, "state: %s/state\n", r.dir)
	r.write(b.String())
	var out, errs bytes.Buffer
	env := cli.Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		LookupEnv: func(name string) (string, bool) { v, ok := r.env[name]; return v, ok },
		Notify:    func(...os.Signal) (<-chan os.Signal, func()) { return nil, func() {} },
	}
	code = cli.Run(context.Background(), env, append([]string{"doctor", "-f", r.config}, args...))
	for name, value := range r.env {
		if len(value) > 15 && strings.Contains(out.String()+errs.String(), value) {
			r.t.Errorf("%s is in the output", name)
		}
	}
	return code, out.String(), errs.String()
}

func (r *running) examine(checkups []checkup) {
	r.t.Helper()
	code, stdout, stderr := r.doctor(checkups, "--json")
	var report struct{ Services []doctorResult }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Services) != len(checkups) {
		r.t.Fatalf("%v, code %d, stdout %s, stderr %s", err, code, stdout, stderr)
	}
	failed := false
	for n, want := range checkups {
		got := report.Services[n]
		failed = failed || want.status == "failed"
		if got.Service != want.name || got.Status != want.status || got.Kind != want.kind ||
			!strings.Contains(got.Target, want.target) || !strings.Contains(got.TLS, want.tls) ||
			!strings.Contains(got.Detail, want.detail) || !strings.Contains(got.Problem, want.problem) {
			r.t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if (got.Problem == "") != (want.status == "ok") || (got.Advice == "") != (want.status == "ok") || got.Lookup == nil || len(got.Providers) == 0 {
			r.t.Errorf("%s: problem %q, advice %q, providers %v", got.Service, got.Problem, got.Advice, got.Providers)
		}
	}
	if (code == 1) != failed || code > 1 {
		r.t.Errorf("exit code %d", code)
	}
}

// database is the usual credentials of a database service.
func database(port int, user, sslmode string, more ...string) []string {
	return append([]string{
		"host: 127.0.0.1", fmt.Sprintf("port: %d", port), "username: " + user, "sslmode: " + sslmode,
	}, more...)
}

const (
	rightPassword = "password: { from: env, get: RIGHT }"
	wrongPassword = "password: { from: env, get: WRONG }"
)

func TestDoctorPostgres(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	u := s.Users.SCRAM
	r := prepare(t)
	r.env["RIGHT"], r.env["WRONG"], r.env["CA"] = u.Password, "not-the-password-8731", s.CA.CAPEM
	stranger := testenv.Postgres(t, testenv.PG{Cert: testenv.CertOtherCA})
	address := fmt.Sprintf("127.0.0.1:%d", s.Port)
	ca := "sslrootcert: { from: env, get: CA }"
	r.examine([]checkup{
		{name: "verified", connector: "pg", credentials: database(s.Port, u.Name, "verify-full", rightPassword, ca), status: "ok", target: address, tls: "TLS 1.3, localhost until ", detail: "PostgreSQL 15"},
		{name: "chain", connector: "pg", credentials: database(s.Port, u.Name, "require", rightPassword, ca, "database: app"), status: "ok", tls: "TLS 1.3"},
		{name: "unverified", connector: "pg", credentials: database(s.Port, u.Name, "require", rightPassword), status: "warning", tls: "not verified", problem: "has not proved who it is"},
		{name: "plain", connector: "pg", credentials: database(s.Port, u.Name, "disable", rightPassword), status: "ok", tls: "none"},
		{name: "socket", connector: "pg", credentials: []string{"host: " + s.SocketDir(), fmt.Sprintf("port: %d", s.Port), "username: " + u.Name, rightPassword}, status: "ok", target: s.SocketDir(), tls: "unix socket"},
		{name: "wrong-password", connector: "pg", credentials: database(s.Port, u.Name, "disable", wrongPassword), status: "failed", kind: "rejected", target: address, problem: "password authentication failed"},
		{name: "dead", connector: "pg", credentials: database(testenv.Refusing(t).Port, u.Name, "disable", rightPassword), status: "failed", kind: "connect", problem: "connection refused"},
		{name: "other-authority", connector: "pg", credentials: database(stranger.Port, u.Name, "verify-full", rightPassword, ca), status: "failed", kind: "tls", problem: "authority that is not trusted"},
		{name: "no-variable", connector: "pg", credentials: database(s.Port, u.Name, "disable", "password: { from: env, get: NO_SUCH_VARIABLE }"), status: "failed", kind: "credentials", problem: "provider env: NO_SUCH_VARIABLE: environment variable is not set"},
		{name: "no-database", connector: "pg", credentials: database(s.Port, u.Name, "disable", rightPassword, "database: nowhere"), status: "failed", kind: "target", problem: `database "nowhere" does not exist`},
	})
}

func TestDoctorMariaDB(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	u := s.Users.Native
	r := prepare(t)
	r.env["RIGHT"], r.env["WRONG"], r.env["CA"] = u.Password, "not-the-password-8731", s.CA.CAPEM
	address := fmt.Sprintf("127.0.0.1:%d", s.Port)
	r.examine([]checkup{
		{name: "verified", connector: "mysql", credentials: database(s.Port, u.Name, "verify-full", rightPassword, "sslrootcert: { from: env, get: CA }"), status: "ok", target: address, tls: "TLS 1.", detail: "MariaDB"},
		{name: "plain", connector: "mysql", credentials: database(s.Port, u.Name, "disable", rightPassword), status: "ok", tls: "none"},
		{name: "unverified", connector: "mysql", credentials: database(s.Port, u.Name, "require", rightPassword), status: "warning", tls: "not verified"},
		{name: "wrong-password", connector: "mysql", credentials: database(s.Port, u.Name, "disable", wrongPassword), status: "failed", kind: "rejected", target: address, problem: "Access denied"},
		{name: "dead", connector: "mysql", credentials: database(testenv.Refusing(t).Port, u.Name, "disable", rightPassword), status: "failed", kind: "connect"},
		{name: "no-database", connector: "mysql", credentials: database(s.Port, u.Name, "disable", rightPassword, "database: nowhere"), status: "failed", kind: "denied", problem: "nowhere"},
	})
}

func TestDoctorMSSQL(t *testing.T) {
	s := newMSSQL(t, tdsserver.Config{}, testenv.CertECDSA)
	r := prepare(t)
	r.env["RIGHT"], r.env["WRONG"], r.env["CA"] = mssqlUser.Password, "not-the-password-8731", testenv.CA(t).CAPEM
	r.examine([]checkup{
		{name: "verified", connector: "mssql", credentials: database(s.Addr().Port, mssqlUser.Name, "verify-full", rightPassword, "sslrootcert: { from: env, get: CA }"), status: "ok", tls: "TLS 1.2"},
		{name: "unverified", connector: "mssql", credentials: database(s.Addr().Port, mssqlUser.Name, "require", rightPassword), status: "warning", tls: "not verified"},
		{name: "wrong-password", connector: "mssql", credentials: database(s.Addr().Port, mssqlUser.Name, "require", wrongPassword), status: "failed", kind: "rejected", problem: "Login failed"},
		{name: "dead", connector: "mssql", credentials: database(testenv.Refusing(t).Port, mssqlUser.Name, "require", rightPassword), status: "failed", kind: "connect"},
	})
}

func TestDoctorSSH(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{})
	r := prepare(t)
	r.env["KEY"], r.env["HOST_KEY"], r.env["STRANGER"] = s.Keys.Ed25519.Private, strings.Join(s.HostKeys(), ""), s.Keys.Unknown.Private
	address := fmt.Sprintf(`"127.0.0.1:%d"`, s.Port)
	host := func(key, hostKey, address string) []string {
		return []string{"address: " + address, "user: " + s.User, "privateKey: { from: env, get: " + key + " }", "hostKey: " + hostKey}
	}
	pinned := "{ from: env, get: HOST_KEY }"
	r.examine([]checkup{
		{name: "pinned", connector: "ssh", credentials: host("KEY", pinned, address), status: "ok", target: strings.Trim(address, `"`), tls: "host key SHA256:", detail: "OpenSSH"},
		{name: "anybody", connector: "ssh", credentials: host("KEY", "accept-any", address), status: "warning", tls: "not verified"},
		{name: "stranger", connector: "ssh", credentials: host("STRANGER", pinned, address), status: "failed", kind: "rejected"},
		{name: "dead", connector: "ssh", credentials: host("KEY", pinned, fmt.Sprintf(`"127.0.0.1:%d"`, testenv.Refusing(t).Port)), status: "failed", kind: "connect"},
		{name: "agent", connector: "ssh-agent", credentials: []string{"privateKey: { from: env, get: KEY }"}, status: "ok", detail: "ssh-ed25519 SHA256:"},
		{name: "no-key", connector: "ssh-agent", credentials: []string{"privateKey: { from: env, get: HOST_KEY }"}, status: "failed", kind: "config"},
	})
}

// The table for people, of the services that are named.
func TestDoctorTable(t *testing.T) {
	s := testenv.Postgres(t, testenv.PG{})
	u := s.Users.SCRAM
	r := prepare(t)
	r.env["RIGHT"] = u.Password
	pair := s.CA.Server(t, testenv.CertECDSA)
	cert := testenv.WriteFile(t, "tls.crt", pair.CertPEM)
	r.env["KEY"] = pair.KeyPEM
	tls := func(key string) []string {
		return []string{"tls: { cert: " + cert + ", key: { from: env, get: " + key + " } }"}
	}
	checkups := []checkup{
		{name: "good", connector: "pg", credentials: database(s.Port, u.Name, "disable", rightPassword), more: tls("KEY")},
		{name: "unverified", connector: "pg", credentials: database(s.Port, u.Name, "require", rightPassword)},
		{name: "bad-key", connector: "pg", credentials: database(s.Port, u.Name, "disable", rightPassword), more: tls("NO_SUCH_VARIABLE")},
	}
	code, out, errs := r.doctor(checkups, "good", "unverified")
	if code != 0 || !strings.Contains(out, "SERVICE") || !strings.Contains(out, " env ") || strings.Contains(out, "bad-key") ||
		!strings.Contains(out, "ok, with a warning") || !strings.Contains(out, "\nunverified: the target has not proved who it is\n  set sslmode") {
		t.Errorf("code %d\n%s\n%s", code, out, errs)
	}
	if code, out, _ = r.doctor(checkups, "unverified", "--strict"); code != 1 {
		t.Errorf("strict: code %d\n%s", code, out)
	}
	code, out, _ = r.doctor(checkups)
	if code != 1 || !strings.Contains(out, "FAILED (credentials)") || !strings.Contains(out, "bad-key: TLS for clients: fetching tls.key of the listener: provider env: NO_SUCH_VARIABLE") {
		t.Errorf("code %d\n%s", code, out)
	}
}
