package assemble_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// HTTP services of the old broker load as they are.
func TestOldHTTPServicesLoad(t *testing.T) {
	name := filepath.Join("testdata", "oldhttp", "services.yml")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	load(t, name, string(text))
}

// Each of the examples for HTTP APIs says by hosts where its credential goes.
func TestHTTPExamplesNameHosts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "http", "*.yml"))
	if err != nil || len(files) < 25 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "hosts: [") || strings.Contains(string(text), "authenticateURLsMatching") {
			t.Errorf("%s: write hosts", f)
		}
	}
}
