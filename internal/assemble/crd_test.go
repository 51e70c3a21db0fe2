package assemble_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"secretless/internal/assemble"
	"secretless/internal/config"
)

var update = flag.Bool("update", false, "write the delivered definition anew")

// The definition that is delivered, with the chart as well, is the one of
// today's connectors, providers and keys.
func TestDeliveredDefinition(t *testing.T) {
	generated, err := config.CRD(assemble.SchemaInput(assemble.Connectors(), assemble.Providers()), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base/crd.yaml", "helm/secretless/crds/configurations.yaml"} {
		path := filepath.Join("..", "..", "deploy", "kubernetes", filepath.FromSlash(name))
		if *update {
			if err := os.WriteFile(path, generated, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		delivered, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(delivered, generated) {
			t.Errorf("deploy/kubernetes/%s is not what the types say; write it anew: go test ./internal/assemble -run '^TestDeliveredDefinition$' -update", name)
		}
	}
}
