package assemble_test

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"secretless/internal/assemble"
)

// Every YAML block in the documentation and every example loads: what a user
// copies works.
func TestDocumentedConfigurationsLoad(t *testing.T) {
	root := filepath.Join("..", "..")
	count := 0
	for _, top := range []string{"README.md", "docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(root, path)
			switch filepath.Ext(path) {
			case ".md":
				for _, b := range yamlBlocks(string(data)) {
					count++
					t.Run(name, func(t *testing.T) { load(t, name, b) })
				}
			case ".yml", ".yaml":
				if strings.Contains(string(data), "apiVersion:") {
					return nil // a manifest for Kubernetes, which the provider's tests apply
				}
				count++
				t.Run(name, func(t *testing.T) { load(t, name, string(data)) })
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if count < 10 {
		t.Errorf("only %d configurations found: is the walk right?", count)
	}
}

var fence = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// yamlBlocks are the fenced yaml blocks of a page, each padded with the lines
// before it so that the places in errors are those of the page.
func yamlBlocks(page string) []string {
	var blocks []string
	for _, m := range fence.FindAllStringSubmatchIndex(page, -1) {
		blocks = append(blocks, strings.Repeat("\n", strings.Count(page[:m[2]], "\n"))+page[m[2]:m[3]])
	}
	return blocks
}

func load(t *testing.T, name, text string) {
	t.Helper()
	a := assemble.New(assemble.Options{LookupEnv: os.LookupEnv, Log: slog.New(slog.DiscardHandler)})
	defer a.Close()
	file, err := a.Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	built, err := a.Build(file)
	if err != nil {
		t.Fatal(err)
	}
	built.Discard()
}
