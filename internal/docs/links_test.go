package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	autolink  = regexp.MustCompile(`<(https?://[^>\s]+)>`)
	reference = regexp.MustCompile(`\][\[]\w|^\[[^\]]+\]: `)
)

// links are the targets that a line leads to.
func (l line) links() []string {
	text := codeSpan.ReplaceAllString(l.text, "")
	var targets []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		targets = append(targets, m[1])
	}
	for _, m := range autolink.FindAllStringSubmatch(text, -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// TestLinks follows every link inside of the repository, headings included, and
// lists the ones that lead out of it (go test -v), which nobody fetches.
func TestLinks(t *testing.T) {
	byPath := map[string]page{}
	for _, p := range pages(t) {
		byPath[p.path] = p
	}
	inside, outside := 0, map[string]bool{}
	for _, p := range byPath {
		for _, l := range p.lines {
			if reference.MatchString(codeSpan.ReplaceAllString(l.text, "")) {
				t.Errorf("%s:%d: a reference link: write [text](target), which this test follows", p.path, l.number)
			}
			for _, target := range l.links() {
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					outside[target] = true
					continue
				}
				inside++
				if why := follow(byPath, p, target); why != "" {
					t.Errorf("%s:%d: link to %s: %s", p.path, l.number, target, why)
				}
			}
		}
	}
	if inside < 100 {
		t.Errorf("only %d links found: is the pattern right?", inside)
	}
	for target := range outside {
		t.Logf("leads out: %s", target)
	}
}

// follow says what is wrong with a link, if anything.
func follow(byPath map[string]page, from page, target string) string {
	file, name, _ := strings.Cut(target, "#")
	to := from.path
	if file != "" {
		if strings.HasPrefix(file, "/") {
			return "an absolute path: write it from the page's own folder"
		}
		to = path.Join(path.Dir(from.path), file)
		if strings.HasPrefix(to, "..") {
			return "it leads out of the repository"
		}
		info, err := os.Stat(filepath.Join(root, filepath.FromSlash(to)))
		switch {
		case err != nil:
			return "there is no such file"
		case info.IsDir():
			return "a folder, which the site cannot show: link its README.md"
		}
	}
	if name == "" {
		return ""
	}
	p, ok := byPath[to]
	if !ok {
		return "an anchor in a file that is no page"
	}
	if !p.anchors()[name] {
		return "the page has no such heading"
	}
	if strings.Contains(name, "--") {
		return "the site calls this heading otherwise: use words and spaces in it only"
	}
	return ""
}

func TestFollow(t *testing.T) {
	from := parse("docs/doctor.md", "# Top\n\n## Two words\n")
	byPath := map[string]page{from.path: from}
	for target, want := range map[string]string{
		"#two-words":          "",
		"doctor.md#top":       "",
		"#three":              "no such heading",
		"nowhere.md":          "no such file",
		"../go.mod":           "",
		"../go.mod#x":         "no page",
		"../docs":             "a folder",
		"../../outside.md":    "out of the repository",
		"/docs/doctor.md":     "absolute",
		"../docs/doctor.md#x": "no such heading",
	} {
		if got := follow(byPath, from, target); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}
