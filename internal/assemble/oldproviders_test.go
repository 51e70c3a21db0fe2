package assemble_test

import (
	"os"
	"path/filepath"
	"testing"
)

// Ids of every provider of the old broker load as they are.
func TestOldProvidersLoad(t *testing.T) {
	name := filepath.Join("testdata", "oldproviders", "secretless.yml")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	load(t, name, string(text))
}
