//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// suite is a driver's own tests, run directly and through the broker.
type suite struct {
	module   string
	packages []string
	skip     string // a regular expression: tests that leave this machine
	// notThroughTheBroker are tests whose subject is something that a broker
	// is there to change, by package and name, with the reason.
	notThroughTheBroker map[string]string
	// least is how many tests pass directly if the suite ran at all.
	least int
}

// compare runs both at once, since a suite waits half of its time, and reports
// every test that passes directly and does not through the broker. The
// arguments make each run's environment.
func (s suite) compare(t *testing.T, direct, brokered func(*testing.T) []string) {
	t.Helper()
	dir := copyModule(t, s.module)
	var a, b map[string]string
	t.Run("both", func(t *testing.T) {
		t.Run("direct", func(t *testing.T) {
			t.Parallel()
			a = s.run(t, dir, direct(t))
		})
		t.Run("brokered", func(t *testing.T) {
			t.Parallel()
			b = s.run(t, dir, brokered(t))
		})
	})
	s.report(t, a, b)
}

func (s suite) report(t *testing.T, direct, brokered map[string]string) {
	t.Helper()
	count := func(m map[string]string, action string) (n int) {
		for _, a := range m {
			if a == action {
				n++
			}
		}
		return n
	}
	t.Logf("direct: %d passed, %d failed, %d skipped; brokered: %d passed, %d failed, %d skipped",
		count(direct, "pass"), count(direct, "fail"), count(direct, "skip"),
		count(brokered, "pass"), count(brokered, "fail"), count(brokered, "skip"))
	if count(direct, "pass") < s.least {
		t.Errorf("only %d tests passed directly: did the suite run?", count(direct, "pass"))
	}
	for _, name := range slices.Sorted(maps.Keys(direct)) {
		if direct[name] == "fail" {
			t.Logf("%s: fails directly, through the broker: %q", name, brokered[name])
		}
		if direct[name] == "pass" && brokered[name] != "pass" && s.notThroughTheBroker[name] == "" {
			t.Errorf("%s: passes directly, through the broker: %q", name, brokered[name])
		}
	}
}

// copyModule copies a module out of the cache, to run its tests in.
func copyModule(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatalf("finding %s: %v", path, err)
	}
	dir := filepath.Join(t.TempDir(), "suite")
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tempDir is in the names of some subtests, and another one in each run.
var tempDir = regexp.MustCompile(`/[^' ]*/Test[^/]*/[0-9]+/`)

// run runs the suite and returns each test's result.
func (s suite) run(t *testing.T, dir string, env []string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-json", "-skip", s.skip, "-p", "1"}, s.packages...)...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off"), env...)
	out, err := cmd.Output()
	if ctx.Err() != nil {
		t.Fatal("the suite does not end")
	}
	results := map[string]string{}
	for line := range bytes.Lines(out) {
		var e struct {
			Action, Package, Test string
			Elapsed               float64
		}
		if json.Unmarshal(line, &e) == nil && e.Test != "" && slices.Contains([]string{"pass", "fail", "skip"}, e.Action) {
			results[e.Package+" "+tempDir.ReplaceAllString(e.Test, "/")] = e.Action
			if e.Elapsed > 5 {
				t.Logf("%s %s takes %.0f s", e.Package, e.Test, e.Elapsed)
			}
		}
	}
	if len(results) == 0 {
		t.Fatalf("the suite did not run: %v: %s", err, out)
	}
	return results
}
