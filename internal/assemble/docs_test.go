package assemble_test

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"secretless/internal/assemble"
)

// Every YAML block in the documentation and every example loads: what a user
// copies works.
func TestDocumentedConfigurationsLoad(t *testing.T) {
	root := filepath.Join("..", "..")
	count := 0
	for _, top := range []string{"README.md", "docs", "examples", "deploy"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && path == filepath.Join(root, top) {
				return nil
			}
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
					t.Run(name, func(t *testing.T) { loadAny(t, name, b) })
				}
			case ".yml", ".yaml":
				count++
				t.Run(name, func(t *testing.T) { loadAny(t, name, string(data)) })
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

// manifest is what a manifest may hold a configuration in: the data of a
// ConfigMap.
type manifest struct {
	Kind string
	Data map[string]string
}

func (m manifest) configurations() map[string]string {
	found := map[string]string{}
	for key, value := range m.Data {
		if m.Kind == "ConfigMap" && strings.HasSuffix(key, ".yml") {
			found[key] = value
		}
	}
	return found
}

// loadAny loads a configuration, or those within manifests for Kubernetes: what
// a ConfigMap has under a name that ends in .yml.
func loadAny(t *testing.T, name, text string) {
	t.Helper()
	if !strings.Contains(text, "apiVersion:") {
		load(t, name, text)
		return
	}
	documents := yaml.NewDecoder(strings.NewReader(text))
	for {
		var manifest manifest
		err := documents.Decode(&manifest)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for key, value := range manifest.configurations() {
			load(t, name+"/"+key, value)
		}
	}
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
