package archtest

import (
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// boundaries are the headings that the threat model must have.
var boundaries = []string{
	"Client to broker", "Broker to target", "Broker to provider", "Admin socket and health endpoint",
	"Configuration, reload and custom resources", "Logs, audit and metrics", "Files and memory of the machine",
	"HTTP proxy and local CA", "ssh-agent", "Supply chain",
}

var (
	qualifiedTest = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)\\w+)`")
	requirement   = regexp.MustCompile(`^(?:require )?\s*([a-z0-9.-]+\.[a-z]+/\S+) v\S+`)
	plainTest     = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`")
)

// TestThreatModel reads docs/security.md: each threat of each boundary names
// tests, and all of them exist.
func TestThreatModel(t *testing.T) {
	known := testsByPackage(t)
	rows := map[string]int{}
	kinds := map[string]bool{}
	section, boundary := "", ""
	for line := range strings.Lines(readDoc(t, "security.md")) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "## "):
			section = line[3:]
		case strings.HasPrefix(line, "### "):
			boundary = line[4:]
		case section == "Threats" && isThreat(line):
			cells := strings.Split(strings.Trim(line, "|"), " | ")
			rows[boundary]++
			kinds[strings.TrimSpace(cells[0])] = true
			checkThreat(t, known, cells)
		}
	}
	if got, want := slices.Sorted(maps.Keys(rows)), slices.Sorted(slices.Values(boundaries)); !slices.Equal(got, want) {
		t.Errorf("threats are at the boundaries %q, want %q", got, want)
	}
	if got := strings.Join(slices.Sorted(maps.Keys(kinds)), ""); got != "DEIRST" {
		t.Errorf("the kinds of threats are %s, want each of STRIDE", got)
	}
}

// isThreat leaves out heads of tables.
func isThreat(line string) bool {
	return strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|-") && !strings.HasPrefix(line, "| | threat")
}

func checkThreat(t *testing.T, known map[string][]string, cells []string) {
	t.Helper()
	const columns = 4
	if len(cells) != columns {
		t.Errorf("a threat has %d columns, want %d: %v", len(cells), columns, cells)
		return
	}
	named := qualifiedTest.FindAllStringSubmatch(cells[3], -1)
	if len(named) == 0 {
		t.Errorf("no test shows the answer to: %s", cells[1])
	}
	for _, n := range named {
		if !slices.Contains(known["internal/"+n[1]], n[2]) {
			t.Errorf("%s names %s.%s, which does not exist", cells[1], n[1], n[2])
		}
	}
}

// TestNamedTestsExist looks at the tests that pages about security name alone.
func TestNamedTestsExist(t *testing.T) {
	all := map[string]bool{}
	for _, tests := range testsByPackage(t) {
		for _, name := range tests {
			all[name] = true
		}
	}
	found := 0
	for _, page := range []string{"security.md", "hardening.md", "fips.md"} {
		for _, m := range plainTest.FindAllStringSubmatch(readDoc(t, page), -1) {
			if found++; !all[m[1]] {
				t.Errorf("docs/%s names %s, which does not exist", page, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d names of tests only", found)
	}
}

func testsByPackage(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name != "TestMain" {
				tests[s.pkg] = append(tests[s.pkg], f.Name.Name)
			}
		}
	}
	return tests
}

func readDoc(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDependenciesAreNamed compares go.mod with docs/dependencies.md. Nothing
// is replaced: what is built is what its authors have published.
func TestDependenciesAreNamed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	page, direct := readDoc(t, "dependencies.md"), 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "replace") || strings.Contains(line, "=>") {
			t.Errorf("go.mod replaces a module: %s", line)
		}
		m := requirement.FindStringSubmatch(line)
		if m == nil || strings.Contains(line, "// indirect") {
			continue
		}
		if direct++; !named(page, m[1]) {
			t.Errorf("docs/dependencies.md does not say why %s is there", m[1])
		}
	}
	if direct < 20 {
		t.Errorf("found %d direct dependencies only", direct)
	}
}

// named says whether a line of the page has the module, in whole or as its last
// element beside its owner, as in "`github.com/spf13/cobra`, `pflag`".
func named(page, module string) bool {
	parts := strings.Split(module, "/")
	owner, last := strings.Join(parts[:2], "/"), parts[len(parts)-1]
	for line := range strings.Lines(page) {
		if strings.Contains(line, module) || strings.Contains(line, owner) && strings.Contains(line, last) {
			return true
		}
	}
	return false
}
