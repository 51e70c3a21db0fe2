//go:build unix

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"secretless/internal/admin"
	"secretless/internal/assemble"
	"secretless/internal/cli"
	"secretless/internal/testenv"
)

// place is where a provider keeps the canary, the password of a database role
// that only this run has: what the test writes into a configuration.
type place struct {
	// providers are lines under `providers:`, without indent; empty for a
	// built-in provider.
	providers []string
	// password is the credential as YAML, for instance { from: v, get: x }.
	password string
	// missing is one of the same provider that cannot be had; empty if there
	// is none.
	missing string
	// secrets are what else must not be seen: the provider's own token, say.
	secrets []string
	// other is true where the place cannot hold a given value, as one that
	// makes tokens: the database will refuse what password yields, and the
	// values to look for are in secrets.
	other bool
	// breakDown, if not nil, makes the source fail for the rest of the test in
	// an ugly way: an answer that is cut short, nonsense, or repeats secrets.
	// It is asked for broken then, which nobody has asked for before.
	breakDown func()
	broken    string
}

// places has a row for each provider of package assemble: a function that
// sets the source up and stores the password there. It may add to env, which
// is the broker's environment.
var places = map[string]func(t *testing.T, env map[string]string, password string) place{
	"literal":     literalPlace,
	"env":         envPlace,
	"exec":        execPlace,
	"file":        filePlace,
	"keychain":    keychainPlace,
	"kubernetes":  kubernetesPlace,
	"vault":       vaultPlace,
	"aws":         awsPlace,
	"aws-rds-iam": rdsPlace,
	"aws-ssm":     ssmPlace,
	"conjur":      conjurPlace,
	"systemd":     systemdPlace,
}

func literalPlace(_ *testing.T, _ map[string]string, password string) place {
	return place{password: password}
}

func envPlace(_ *testing.T, env map[string]string, password string) place {
	env["CANARY_VARIABLE"] = password
	return place{password: "{ from: env, get: CANARY_VARIABLE }", missing: "{ from: env, get: NO_SUCH_VARIABLE }"}
}

func filePlace(t *testing.T, _ map[string]string, password string) place {
	path := testenv.WriteFile(t, "canary", password)
	return place{
		password: "{ from: file, get: " + path + " }", missing: "{ from: file, get: " + path + ".no }",
		broken: "{ from: file, get: " + path + " }", breakDown: func() { _ = os.Truncate(path, 2<<20) },
	}
}

func systemdPlace(t *testing.T, env map[string]string, password string) place {
	path := testenv.WriteFile(t, "canary", password)
	env["CREDENTIALS_DIRECTORY"] = filepath.Dir(path)
	return place{
		password: "{ from: systemd, get: canary }", missing: "{ from: systemd, get: no-canary }",
		broken: "{ from: systemd, get: canary }", breakDown: func() { _ = os.Truncate(path, 2<<20) },
	}
}

// execPlace is a command that talks too much.
func execPlace(t *testing.T, _ map[string]string, password string) place {
	kept := testenv.WriteFile(t, "kept", password)
	command := testenv.WriteFile(t, "command", `read -r ids; password=$(cat "$1")
echo "asked for $ids, found $password" >&2
case $ids in
*missing*) printf '{"another": "%s"}' "$password" ;;
*) printf '{"orders": "%s"}' "$password" ;;
esac`)
	return place{
		providers: []string{"command: { type: exec, command: [/bin/sh, " + command + ", " + kept + "] }"},
		password:  "{ from: command, get: orders }", missing: "{ from: command, get: missing }",
		broken: "{ from: command, get: broken }", breakDown: func() {
			nonsense := `password=$(cat "$1"); echo "error: password is $password"; echo "cannot use $password" >&2; exit 3`
			if err := os.WriteFile(command, []byte(nonsense), 0o600); err != nil {
				t.Error(err)
			}
		},
	}
}

// TestEveryProviderHasAPlace keeps the table whole: a new provider brings its row.
func TestEveryProviderHasAPlace(t *testing.T) {
	known := slices.Sorted(maps.Keys(assemble.Providers()))
	if rows := slices.Sorted(maps.Keys(places)); !slices.Equal(rows, known) {
		t.Errorf("places has rows for %v, the providers are %v", rows, known)
	}
}

// TestCanary fetches a password from every provider, lets lookups and logins
// fail, reads everything that the program writes anywhere, and looks for it.
func TestCanary(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	for _, id := range slices.Sorted(maps.Keys(places)) {
		t.Run(id, func(t *testing.T) {
			c := &canary{running: prepare(t), server: server}
			c.own = true // hardened: every provider works so
			c.place = places[id](t, c.env, server.Users.SCRAM.Password)
			c.run(c.yaml())
			c.connect("right", !c.place.other)
			c.connect("right", !c.place.other) // from the cache, where there is one
			c.connect("wrong", false)
			c.connect("unreachable", false)
			if c.place.missing != "" {
				c.connect("missing", false)
			}
			c.commands()
			if c.place.breakDown != nil {
				c.place.breakDown()
				c.connect("broken", false)
			}
			c.signals <- os.Interrupt
			<-c.done
			c.look()
		})
	}
}

// canary is a broker with one provider, and what was heard from it.
type canary struct {
	*running
	server *testenv.Server
	place  place
	heard  bytes.Buffer // by clients and on the command line
}

// yaml has a service for each way a login goes, named after it.
func (c *canary) yaml() string {
	var b strings.Builder
	b.WriteString("version: \"2\"\nservices:\n")
	add := func(name, user, password string, port int) {
		if password == "" {
			return
		}
		fmt.Fprintf(&b, "  %s:\n    connector: pg\n    listenOn: unix://%s/.s.PGSQL.%d\n    credentials:\n", name, c.dir, c.number(name))
		fmt.Fprintf(&b, "      host: 127.0.0.1\n      port: %d\n      sslmode: disable\n      username: %s\n      password: %s\n", port, user, password)
	}
	add("right", c.server.Users.SCRAM.Name, c.place.password, c.server.Port)
	add("wrong", c.server.Users.MD5.Name, c.place.password, c.server.Port)
	add("unreachable", c.server.Users.SCRAM.Name, c.place.password, testenv.Refusing(c.t).Port)
	add("missing", c.server.Users.SCRAM.Name, c.place.missing, c.server.Port)
	add("broken", c.server.Users.SCRAM.Name, c.place.broken, c.server.Port)
	if len(c.place.providers) > 0 {
		b.WriteString("providers:\n  " + strings.Join(c.place.providers, "\n  ") + "\n")
	}
	fmt.Fprintf(&b, "admin: { health: \"unix://%s/health\", socket: \"unix://%s/admin\" }\n", c.dir, c.dir)
	fmt.Fprintf(&b, "audit: { to: \"file://%s/audit.jsonl\" }\n", c.dir)
	return b.String()
}

func (c *canary) number(service string) int {
	return 1 + slices.Index([]string{"right", "wrong", "unreachable", "missing", "broken"}, service)
}

// connect logs in at a service and keeps what the client is told.
func (c *canary) connect(service string, works bool) {
	c.t.Helper()
	dsn := fmt.Sprintf("host=%s port=%d user=nobody dbname=%s sslmode=disable connect_timeout=20", c.dir, c.number(service), testenv.Database)
	conn, err := pgx.Connect(c.t.Context(), dsn)
	if err == nil {
		_ = conn.Close(c.t.Context())
	}
	if (err == nil) != works {
		c.t.Errorf("service %s: login works=%v, error %v", service, err == nil, err)
	}
	fmt.Fprintf(&c.heard, "%+v\n%#v\n", err, err)
}

// commands runs what an operator asks while the broker runs.
func (c *canary) commands() {
	c.signals <- syscall.SIGHUP
	c.eventually("the reload", func() bool { return c.log.has("configuration reloaded") })
	for _, args := range [][]string{
		{"status", "--socket", filepath.Join(c.dir, "admin")},
		{"status", "--json", "--socket", filepath.Join(c.dir, "admin")},
		{"connections", "--socket", filepath.Join(c.dir, "admin")},
		{"top", "--once", "--interval", "100ms", "--socket", filepath.Join(c.dir, "admin")},
		{"reload", "-f", c.config},
		{"validate", "-f", c.config},
		{"doctor", "-f", c.config, "--log-level", "debug"},
		{"doctor", "-f", c.config, "--json"},
		{"serve", "-f", c.config, "--require-credentials", "--log-level", "debug"},
	} {
		env := cli.Env{
			Stdin: strings.NewReader(""), Stdout: &c.heard, Stderr: &c.heard,
			LookupEnv: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok },
			Notify:    func(...os.Signal) (<-chan os.Signal, func()) { return nil, func() {} },
		}
		cli.Run(context.Background(), env, args)
	}
	c.profiles(admin.Dial(filepath.Join(c.dir, "admin")))
	for path, request := range map[string]string{"health": "/ready", "admin": "/v1/errors"} {
		conn, err := net.Dial("unix", filepath.Join(c.dir, path))
		if err != nil {
			c.t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n\r\n", request)
		_, _ = c.heard.ReadFrom(conn)
		_ = conn.Close()
	}
}

// profiles reads those that could have kept something, without their wrapping.
func (c *canary) profiles(client *admin.Client) {
	c.t.Helper()
	for _, name := range []string{"goroutine", "heap", "allocs"} {
		data, err := client.Profile(c.t.Context(), name, 0)
		if err != nil {
			c.t.Errorf("the profile %s: %v", name, err)
			continue
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			c.t.Errorf("the profile %s: %v", name, err)
			continue
		}
		if n, err := c.heard.ReadFrom(unpacked); err != nil || n < 100 {
			c.t.Errorf("the profile %s: %d bytes, %v", name, n, err)
		}
	}
}

// look searches everything for the password and the provider's own secrets.
func (c *canary) look() {
	audit, err := os.ReadFile(filepath.Join(c.dir, "audit.jsonl"))
	if err != nil || !bytes.Contains(audit, []byte("right")) || !c.place.other && !bytes.Contains(audit, []byte(`"credentials":[`)) {
		c.t.Errorf("the audit log: %v, %d bytes", err, len(audit))
	}
	secrets := c.place.secrets
	if !c.place.other {
		secrets = append(secrets, c.server.Users.SCRAM.Password)
	}
	for where, text := range map[string]string{"log": c.log.String(), "audit": string(audit), "client or command line": c.heard.String()} {
		for _, s := range secrets {
			for _, spelling := range spellings(s) {
				if at := strings.Index(text, spelling); at >= 0 {
					c.t.Errorf("a secret is in the %s, as %q: …%s", where, spelling, text[max(at-200, 0):at])
				}
			}
		}
	}
}

// spellings are the ways in which a secret gets into an output unnoticed.
func spellings(s string) []string {
	all := []string{
		s, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), url.QueryEscape(s), url.PathEscape(s),
		strings.Trim(fmt.Sprintf("%q", s), `"`), strings.Trim(fmt.Sprint([]byte(s)), "[]"), strings.ToUpper(s), strings.ToLower(s),
	}
	for shift := range 3 { // wherever it stands in a longer text
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, shift), s...))
			all = append(all, text[4:len(text)-3])
		}
	}
	return all
}
