package assemble_test

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
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
			if err == nil && d.IsDir() && (d.Name() == "prometheus" || d.Name() == "helm") {
				return filepath.SkipDir // alert rules; a chart, which TestManifests renders
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

// loadAny loads a configuration, or those within manifests for Kubernetes:
// custom resources, and what a ConfigMap has under a name that ends in .yml.
func loadAny(t *testing.T, name, text string) {
	t.Helper()
	if !strings.Contains(text, "apiVersion:") {
		load(t, name, text)
		return
	}
	documents := yaml.NewDecoder(strings.NewReader(text))
	for {
		var document yaml.Node
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for key, value := range configurations(t, &document) {
			load(t, name+"/"+key, value)
		}
	}
}

// configurations are those within a manifest.
func configurations(t *testing.T, document *yaml.Node) map[string]string {
	t.Helper()
	var manifest struct {
		Kind string
		Data yaml.Node
	}
	if err := document.Decode(&manifest); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	switch manifest.Kind {
	case "Configuration":
		text, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		found["Configuration"] = string(text)
	case "ConfigMap":
		if err := manifest.Data.Decode(&found); err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(found, func(key, _ string) bool { return !strings.HasSuffix(key, ".yml") })
	}
	return found
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
