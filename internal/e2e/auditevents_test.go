//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/testenv"
)

// The audit tells the life of a broker: start, sessions with the target's
// certificate and where the password came from, reloads, what administrators
// asked for, a rotated password, the stop.
func TestAuditTellsTheLifeOfABroker(t *testing.T) {
	server := testenv.NewPostgres(t, testenv.PG{})
	user := server.Users.SCRAM
	r := prepare(t)
	file := filepath.Join(r.dir, "password")
	if err := os.WriteFile(file, []byte(user.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	yaml := r.yaml(service{server: server, user: user, sslmode: "require"})
	yaml = strings.Replace(yaml, "from: env, get: DB_PASSWORD", "from: cached, get: "+file, 1)
	yaml += "providers: { cached: { type: file, cache: 1h } }\n"
	r.run(yaml)
	r.session(1)

	r.write(strings.Replace(yaml, "connector: pg", "connector: pgg", 1))
	r.signals <- syscall.SIGHUP
	r.eventually("the bad file to be reported", func() bool { return r.log.has("configuration not reloaded") })
	r.write(yaml)
	if code, out := r.command("reload", "--socket", filepath.Join(r.dir, "admin")); code != 0 {
		t.Errorf("reload: %d %s", code, out)
	}
	if code, out := r.command("log-level", "debug", "--for", "10m", "--socket", filepath.Join(r.dir, "admin")); code != 0 {
		t.Errorf("log-level: %d %s", code, out)
	}
	if code, out := r.command("close", "4711", "--socket", filepath.Join(r.dir, "admin")); code == 0 {
		t.Errorf("closed what is not open: %s", out)
	}

	next := user.Password + "-next"
	server.Exec(t, fmt.Sprintf("alter role %s password '%s'", user.Name, next))
	if err := os.WriteFile(file, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	r.session(2)
	r.signals <- os.Interrupt
	<-r.done

	lines := audittest.File(t, filepath.Join(r.dir, "audit.jsonl"))
	var got []string
	for _, l := range lines {
		text := string(l.Event)
		for _, field := range []string{"by", "action", "outcome", "reason"} {
			if word, ok := l.All[field].(string); ok {
				text += " " + word
			}
		}
		got = append(got, text)
		checkFields(t, l, server, file)
	}
	want := []string{
		"started", "opened", "connected", "closed", "reload signal failed", "reload admin ok",
		"admin log-level ok", "admin close failed",
		"opened", "rotated changed", "rotated rejected", "connected", "closed", "stopped signal",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// session is the nth session; it has ended in the audit as well.
func (r *running) session(n int) {
	r.t.Helper()
	if err := r.briefly(); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("the end in the audit", func() bool {
		text, _ := os.ReadFile(filepath.Join(r.dir, "audit.jsonl"))
		return bytes.Count(text, []byte(`"event":"closed"`)) == n
	})
}

// checkFields looks at what only a real login can say.
func checkFields(t *testing.T, l audittest.Line, server *testenv.Server, file string) {
	t.Helper()
	switch l.Event {
	case audit.Connected:
		target := l.All["target"].(map[string]any)
		shown := target["tls"].(map[string]any)
		address := fmt.Sprintf("127.0.0.1:%d", server.Port)
		if target["address"] != address || target["remote"] != address || target["verified"] != false || len(shown["sha256"].(string)) != 64 {
			t.Errorf("target %v", target)
		}
		fallthrough
	case audit.Rotated:
		if text := fmt.Sprint(l.All["credentials"]); !strings.Contains(text, "map[from:cached get:"+file+" name:password]") {
			t.Errorf("%s: credentials %s", l.Event, text)
		}
	case audit.Admin:
		by, _ := l.All["peer"].(map[string]any)
		if by["uid"] != float64(os.Getuid()) || by["executable"] == nil || l.All["detail"] != "debug for 10m0s" && l.All["connection"] != 4711.0 {
			t.Errorf("admin %v", l.All)
		}
	case audit.Reload:
		if by, _ := l.All["peer"].(map[string]any); (by["uid"] == float64(os.Getuid())) != (l.All["by"] == "admin") {
			t.Errorf("%v asked for the reload by %v", by, l.All["by"])
		}
		if l.All["services"] != 1.0 || l.All["outcome"] == audit.Fail && l.All["errors"] != 1.0 {
			t.Errorf("reload %v", l.All)
		}
	}
}
