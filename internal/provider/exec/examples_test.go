//go:build unix

package exec_test

import (
	"maps"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"secretless/internal/provider"
	"secretless/internal/provider/exec"
	"secretless/internal/testenv"
)

// wrapper is an instance of a script under examples/exec, which finds programs
// in dir first.
func wrapper(t *testing.T, name, dir string, vars map[string]string) provider.Provider {
	t.Helper()
	for _, tool := range []string{"bash", "jq", "base64"} {
		testenv.Tool(t, tool)
	}
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "examples", "exec", name+".sh"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"PATH": dir + ":" + os.Getenv("PATH")}
	maps.Copy(all, vars)
	p, log := instance(t, exec.Config{Command: []string{path}, Env: slices.Collect(maps.Keys(all))}, all)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log)
		}
	})
	return p
}

// Each wrapper calls its tool as the tool's documentation has it, and passes on
// what that prints. The tools are doubles that refuse any other arguments.
func TestWrappers(t *testing.T) {
	const binary = "a\x00\xff\n"
	for name, c := range map[string]struct {
		tool  string
		calls map[string]string // arguments to what is printed, as printf has it
		want  map[string]string
	}{
		"1password": {"op", map[string]string{
			"read --no-newline op://prod/orders db/username": `orders`,
			"read --no-newline op://prod/orders db/password": `a\000\377\n`,
		}, map[string]string{"op://prod/orders db/username": "orders", "op://prod/orders db/password": binary}},
		"bitwarden": {"bw", map[string]string{
			"--nointeraction --raw get username -- orders db": `orders`,
			"--nointeraction --raw get password -- orders db": `p"w\\`,
		}, map[string]string{"orders db#username": "orders", "orders db": `p"w\`}},
		"bws": {"bws", map[string]string{
			"secret get --output json -- 11-22": `{"id": "11-22", "key": "k", "value": "p\\n\\"w "}`,
		}, map[string]string{"11-22": "p\n\"w "}},
		"pass": {"pass", map[string]string{
			"show -- db/orders": `pa ss\\n\nuser: orders\nuser: other\nurl: x\n`,
		}, map[string]string{"db/orders": `pa ss\n`, "db/orders#user": "orders", "db/orders#url": "x"}},
		"gopass": {"gopass", map[string]string{
			"show --password -- db/orders": `pw\n`,
			"show -- db/orders user":       `orders\n`,
		}, map[string]string{"db/orders": "pw", "db/orders#user": "orders"}},
		"gcloud": {"gcloud", map[string]string{
			"secrets versions access latest --secret=orders --format=get(payload.data) --quiet": `YQD_Cg==\n`,
			"secrets versions access 7 --secret=orders --format=get(payload.data) --quiet":      `c2V2ZW4=\n`,
		}, map[string]string{"orders": binary, "orders#7": "seven"}},
		"azure": {"az", map[string]string{
			"keyvault secret show --id https://shop.vault.azure.net/secrets/orders --query value --output json --only-show-errors":    `"p\\tw\\n"\n`,
			"keyvault secret show --id https://shop.vault.azure.net/secrets/orders/1f --query value --output json --only-show-errors": `"old"\n`,
		}, map[string]string{"shop/orders": "p\tw\n", "shop/orders/1f": "old"}},
		"doppler": {"doppler", map[string]string{
			"secrets download --no-file --format json": `{"DB_USER": "orders", "DB_PASSWORD": "p\\nw", "OTHER": "x"}`,
		}, map[string]string{"DB_USER": "orders", "DB_PASSWORD": "p\nw"}},
		"sops": {"sops", map[string]string{
			"--decrypt --output-type json /etc/x/db.yaml": `{"db": {"user": "orders", "password": "p\\nw", "port": 5432}}`,
		}, map[string]string{"/etc/x/db.yaml#db.user": "orders", "/etc/x/db.yaml#db.password": "p\nw", "/etc/x/db.yaml#db.port": "5432"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := wrapper(t, name, double(t, c.tool, c.calls), nil)
			leases, err := p.Fetch(t.Context(), slices.Sorted(maps.Keys(c.want)))
			if err != nil {
				t.Fatal(err)
			}
			for id, want := range c.want {
				if got := leases[id].Value.Bytes(); string(got) != want {
					t.Errorf("%s: got %q, want %q", id, got, want)
				}
			}
			// What the tool refuses fails the lookup, wherever it stands.
			refs := append([]string{"-missing"}, slices.Sorted(maps.Keys(c.want))...)
			if _, err := p.Fetch(t.Context(), refs); err == nil {
				t.Error("a missing id is no error")
			}
		})
	}
}

// double writes a program that prints what is listed for its arguments.
func double(t *testing.T, tool string, calls map[string]string) string {
	t.Helper()
	var body strings.Builder
	body.WriteString("#!/bin/sh\ncase \"$*\" in\n")
	for args, prints := range calls {
		body.WriteString("'" + args + "') printf '%b' '" + prints + "' ;;\n")
	}
	body.WriteString("*) echo \"unexpected arguments: $*\" >&2; exit 64 ;;\nesac\n")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, tool), []byte(body.String()), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWrappersAreClean(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "examples", "exec", "*.sh"))
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d scripts, %v", len(files), err)
	}
	if out, err := osexec.Command(testenv.Tool(t, "shellcheck"), files...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// The real pass, with a key of its own.
func TestPass(t *testing.T) {
	testenv.Tool(t, "pass")
	gpg := testenv.Tool(t, "gpg")
	// The agent's socket needs a short path.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"GNUPGHOME": home, "PASSWORD_STORE_DIR": filepath.Join(t.TempDir(), "store")}
	run := func(stdin, program string, args ...string) {
		t.Helper()
		cmd := osexec.Command(program, args...)
		cmd.Stdin = strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home, "PASSWORD_STORE_DIR="+vars["PASSWORD_STORE_DIR"])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	t.Cleanup(func() {
		run("", "gpgconf", "--kill", "all")
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	run("", gpg, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-generate-key", "test@example.com", "future-default", "default", "never")
	run("", "pass", "init", "test@example.com")
	run("pä ss\\n\"\nuser: orders\n", "pass", "insert", "--multiline", "db/orders")
	p := wrapper(t, "pass", "/nowhere", vars)
	leases, err := p.Fetch(t.Context(), []string{"db/orders", "db/orders#user"})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(leases["db/orders"].Value.Bytes()); got != `pä ss\n"` {
		t.Errorf("password %q", got)
	}
	if got := string(leases["db/orders#user"].Value.Bytes()); got != "orders" {
		t.Errorf("user %q", got)
	}
	if _, err := p.Fetch(t.Context(), []string{"db/none"}); err == nil {
		t.Error("a missing entry is no error")
	}
}
