//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

// TLS for clients: verified by psql, asked for with and without SSLRequest, and
// with a certificate demanded of the client.
func TestListenerTLS(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{Version: 18})
	cert, key := server.CA.Server(t, testenv.CertECDSA).Files(t)
	ca := testenv.WriteFile(t, "ca.pem", server.CA.CAPEM)
	plain := start(t, service{
		server: server, user: server.Users.SCRAM,
		settings: []string{fmt.Sprintf("tls: { cert: %q, key: %q }", cert, key)},
	})
	verify := strings.NewReplacer("sslmode=disable", "sslmode=verify-full sslrootcert="+ca)
	expectPsql(t, verify.Replace(plain.dsn()))
	expectUser(t, verify.Replace(plain.dsn("sslnegotiation=direct")), "scram")
	expectUser(t, plain.dsn(), "scram") // TLS is offered, not demanded

	clientCert, clientKey := server.CA.Client(t, "laptop").Files(t)
	mutual := start(t, service{
		server: server, user: server.Users.SCRAM, sslmode: "require",
		settings: []string{fmt.Sprintf("tls: { cert: %q, key: { from: file, get: %q }, clientCA: %q }", cert, key, ca)},
	})
	expectUser(t, verify.Replace(mutual.dsn("sslcert="+clientCert, "sslkey="+clientKey)), "scram")
	if got := connectError(t, mutual.dsn()); !strings.Contains(got.Message, "certificate") {
		t.Errorf("plain text where a certificate is demanded: %s", got.Message)
	}
	if out, err := testenv.Command(t, nil, testenv.Tool(t, "psql"), "-X", "-w", "-d", verify.Replace(mutual.dsn()), "-c", "select 1"); err == nil {
		t.Errorf("a client without a certificate was let in: %s", out)
	}
}

func expectPsql(t *testing.T, dsn string) {
	t.Helper()
	out, err := testenv.Command(t, nil, testenv.Tool(t, "psql"), "-X", "-w", "-At", "-d", dsn, "-c", "select current_user")
	if err != nil || out != "scram\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// allow lets in the executable that it names and closes the door before a byte
// is read of any other, over unix sockets and over TCP.
func TestAllowExecutable(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	psql := realPsql(t)
	other := filepath.Join(t.TempDir(), "psql")
	binary, err := os.ReadFile(psql)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	r := start(t, service{
		server: server, user: server.Users.SCRAM,
		settings: []string{fmt.Sprintf("allow: { users: [%d], executables: [%q] }", os.Getuid(), psql)},
	})
	for _, dsn := range []string{r.dsn(), r.socketDSN()} {
		out, err := testenv.Command(t, nil, psql, "-X", "-w", "-At", "-d", dsn, "-c", "select current_user")
		if err != nil || out != "scram\n" {
			t.Errorf("the allowed program: %v: %s\n%s", err, out, r.log)
		}
		if out, err := testenv.Command(t, nil, other, "-X", "-w", "-At", "-d", dsn, "-c", "select 1"); err == nil {
			t.Errorf("a copy of the program was let in: %s", out)
		}
	}
	r.eventually("the audit of both refusals", func() bool {
		audit, _ := os.ReadFile(filepath.Join(r.dir, "audit.jsonl"))
		return strings.Count(string(audit), `"event":"refused"`) == 2 && strings.Contains(string(audit), other)
	})
}

// realPsql is the program behind Debian's wrapper script.
func realPsql(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "ls -d /usr/lib/postgresql/*/bin/psql | tail -1").Output()
	path := strings.TrimSpace(string(out))
	if err != nil || path == "" {
		t.Skip("psql is not where Debian has it")
	}
	return path
}

// Where allow could not be enforced the broker does not start.
func TestAllowOnEveryInterface(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	yaml := r.yaml(service{server: server, user: server.Users.SCRAM, settings: []string{"allow: { users: [root] }"}})
	r.write(strings.Replace(yaml, "tcp://127.0.0.1:", "tcp://0.0.0.0:", 1))
	code, out := r.command("serve", "-f", r.config)
	if code != 2 || !strings.Contains(out, "allow") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
