package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"
)

// root is the repository, seen from this package.
var root = filepath.Join("..", "..")

// page is one Markdown file.
type page struct {
	path     string // from the root of the repository, with slashes
	lines    []line
	blocks   []block
	headings []string
}

// line is a line of prose: what stands in fenced blocks is not among them.
type line struct {
	number int
	text   string
}

// block is a fenced block.
type block struct {
	page     string
	number   int // of its first line
	language string
	text     string
	file     string // its name in the sandbox, from a comment before it; see development.md
}

// trees are where pages are; not all of them need to exist.
var trees = []string{"README.md", "CHANGELOG.md", "docs", "examples", "deploy", "packaging"}

var allPages = sync.OnceValues(readPages)

// pages are all Markdown files of the repository that users read.
func pages(t *testing.T) []page {
	t.Helper()
	all, err := allPages()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 40 {
		t.Fatalf("only %d pages found: is the walk right?", len(all))
	}
	return all
}

func readPages() ([]page, error) {
	var all []page
	for _, tree := range trees {
		err := filepath.WalkDir(filepath.Join(root, tree), func(path string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			all = append(all, parse(filepath.ToSlash(name), string(text)))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

var (
	fence    = regexp.MustCompile("^\\s*```(.*)$")
	heading  = regexp.MustCompile(`^#{1,6} +(.*?)[ #]*$`)
	fileNote = regexp.MustCompile(`^<!-- file: (\S+) -->$`)
)

func parse(path, text string) page {
	p := page{path: path}
	var open *block
	file := ""
	n := 0
	for l := range strings.Lines(text) {
		n++
		l = strings.TrimRight(l, "\r\n")
		mark := fence.FindStringSubmatch(l)
		switch {
		case open == nil && mark != nil:
			open = &block{page: path, number: n + 1, language: mark[1], file: file}
			file = ""
		case open != nil && mark != nil && mark[1] == "":
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.text += l + "\n"
		default:
			if m := heading.FindStringSubmatch(l); m != nil {
				p.headings = append(p.headings, m[1])
			}
			if m := fileNote.FindStringSubmatch(l); m != nil {
				file = m[1]
			}
			p.lines = append(p.lines, line{n, l})
		}
	}
	if open != nil { // an open fence swallows the rest: report it as a block of no known language
		open.language = "a fence that is never closed"
		p.blocks = append(p.blocks, *open)
	}
	return p
}

var (
	codeSpan = regexp.MustCompile("`[^`]+`")
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are the names of the page's headings as forges make them.
func (p page) anchors() map[string]bool {
	names := map[string]bool{}
	for _, h := range p.headings {
		name := anchor(h)
		for i, base := 1, name; names[name]; i++ {
			name = base + "-" + string(rune('0'+i))
		}
		names[name] = true
	}
	return names
}

func anchor(heading string) string {
	heading = linkText.ReplaceAllString(heading, "$1")
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

func TestAnchor(t *testing.T) {
	for text, want := range map[string]string{
		"Whose credentials":             "whose-credentials",
		"`config`":                      "config",
		"pg: PostgreSQL":                "pg-postgresql",
		"What *is* [checked](a.md), v2": "what-is-checked-v2",
	} {
		if got := anchor(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	p := parse("a.md", "# Top\n<!-- file: x.yml -->\n\n```yaml\na: 1\n# no heading\n```\ntext\n```console\n$ true\n```\n```sh\n")
	if len(p.blocks) != 3 || p.blocks[0].file != "x.yml" || p.blocks[0].text != "a: 1\n# no heading\n" || p.blocks[0].number != 5 {
		t.Errorf("blocks: %+v", p.blocks)
	}
	if p.blocks[1].language != "console" || p.blocks[1].file != "" || !strings.Contains(p.blocks[2].language, "never closed") {
		t.Errorf("blocks: %+v", p.blocks)
	}
	if len(p.headings) != 1 || len(p.lines) != 4 {
		t.Errorf("headings %q, lines %+v", p.headings, p.lines)
	}
}
