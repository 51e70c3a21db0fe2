package archtest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// private are words that mean something only where somebody works: a reader
// who has the repository and nothing else could not follow them.
var private = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{
		regexp.MustCompile(`(^|[^\w.*])/(work|root|workspace|tmp/brief)(/[\w.]|\.md|\b$)`),
		"a path of one machine; write it from the root of the repository",
	},
	{
		regexp.MustCompile(`\bshared/(spec|design|hooks)\b`),
		"a document that is not in the repository",
	},
	{
		regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`),
		"finish it, or file it as an issue",
	},
}

func privateWord(line string) string {
	for _, p := range private {
		if found := p.pattern.FindString(line); found != "" {
			return strings.TrimSpace(found) + ": " + p.why
		}
	}
	return ""
}

func TestText(t *testing.T) {
	files(t, func(path string) {
		// This package writes the words down to look for them, and the corpus
		// of a fuzz test is no prose.
		if strings.HasPrefix(path, "internal/archtest/") || strings.Contains(path, "/testdata/fuzz/") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || len(text) > 1<<20 || bytes.IndexByte(text, 0) >= 0 {
			return
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if why := privateWord(strings.TrimRight(line, "\r\n")); why != "" {
				t.Errorf("%s:%d: %s", path, n, why)
			}
		}
	})
}

func TestPrivateWords(t *testing.T) {
	for line, bad := range map[string]bool{
		"see /work/main/go.mod":                  true,
		"in /root/.cache there is":               true,
		"as shared/spec/connectors.md says":      true,
		"// TODO: later":                         true,
		"docs/work/main":                         false,
		"the servers' /rooted/path":              false,
		"https://example.com/root/x":             false,
		"a shared/exclusive lock":                false,
		"if root, the cache is /var/cache/x":     false,
		"internal/work/root is somewhere inside": false,
	} {
		if got := privateWord(line); (got != "") != bad {
			t.Errorf("%q: %q, want bad=%v", line, got, bad)
		}
	}
}
