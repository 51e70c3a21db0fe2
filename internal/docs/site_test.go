package docs

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestNavigation compares mkdocs.yml with the pages there are: each is in it
// once, and it names nothing else.
func TestNavigation(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "mkdocs.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var site struct{ Nav yaml.Node }
	if err := yaml.Unmarshal(text, &site); err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	collect(&site.Nav, listed)
	for _, p := range pages(t) {
		if listed[p.path] != 1 {
			t.Errorf("%s is %d times in the nav of mkdocs.yml: name each page once", p.path, listed[p.path])
		}
		delete(listed, p.path)
	}
	for _, extra := range slices.Sorted(maps.Keys(listed)) {
		t.Errorf("the nav of mkdocs.yml names %s, which does not exist", extra)
	}
}

// collect counts the pages below a node of the navigation: values of maps and
// bare scalars of lists.
func collect(n *yaml.Node, listed map[string]int) {
	switch n.Kind {
	case yaml.ScalarNode:
		listed[n.Value]++
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			collect(n.Content[i], listed)
		}
	default:
		for _, c := range n.Content {
			collect(c, listed)
		}
	}
}

// TestIndex looks for pages that the index of the documentation does not lead
// to, at one or two steps: a folder's README.md counts for its pages.
func TestIndex(t *testing.T) {
	reached := map[string]bool{}
	follow := func(p page) {
		for _, l := range p.lines {
			for _, target := range l.links() {
				file, _, _ := strings.Cut(target, "#")
				reached[path.Join(path.Dir(p.path), file)] = true
			}
		}
	}
	for _, p := range pages(t) {
		if path.Base(p.path) == "README.md" && p.path != "README.md" {
			follow(p)
		}
	}
	for _, p := range pages(t) {
		if !reached[p.path] && p.path != "README.md" && p.path != "docs/README.md" {
			t.Errorf("%s is in no index: add it to docs/README.md or to its folder's README.md", p.path)
		}
	}
}

// TestExamples looks for examples that their index does not lead to.
func TestExamples(t *testing.T) {
	linked := map[string]bool{}
	for _, p := range pages(t) {
		if p.path != "examples/README.md" {
			continue
		}
		for _, l := range p.lines {
			for _, target := range l.links() {
				linked[target] = true
			}
		}
	}
	top := filepath.Join(root, "examples")
	err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(filepath.Ext(file), ".y") {
			return err
		}
		name, err := filepath.Rel(top, file)
		if err == nil && !linked[filepath.ToSlash(name)] {
			t.Errorf("examples/%s is not in examples/README.md", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFirstLines holds pages to their form: a title, and then at once what the
// reader gets, in a sentence.
func TestFirstLines(t *testing.T) {
	for _, p := range pages(t) {
		if len(p.lines) == 0 || !strings.HasPrefix(p.lines[0].text, "# ") {
			t.Errorf("%s does not begin with a title (# …)", p.path)
			continue
		}
		for _, l := range p.lines[1:] {
			if l.text == "" {
				continue
			}
			if strings.ContainsAny(l.text[:1], "#|<-") {
				t.Errorf("%s:%d: say in a sentence what the page is for before anything else", p.path, l.number)
			}
			break
		}
	}
}

// TestLists finds lists that the site would not show as such: its Markdown
// wants an empty line before them.
func TestLists(t *testing.T) {
	for _, p := range pages(t) {
		for i, l := range p.lines[1:] {
			before := p.lines[i]
			if l.number == before.number+1 && isItem(l.text) && before.text != "" && !isItem(before.text) &&
				!strings.HasPrefix(before.text, " ") && !strings.HasPrefix(before.text, "|") {
				if inList(p.lines[:i+1]) {
					continue
				}
				t.Errorf("%s:%d: put an empty line before the list", p.path, l.number)
			}
		}
	}
}

func isItem(text string) bool {
	return strings.HasPrefix(text, "- ") || strings.HasPrefix(text, "* ") || strings.HasPrefix(text, "1. ")
}

// inList tells whether the paragraph that ends here began as a list's item.
func inList(lines []line) bool {
	for i := len(lines) - 1; i >= 0 && lines[i].text != ""; i-- {
		if isItem(lines[i].text) {
			return true
		}
	}
	return false
}
