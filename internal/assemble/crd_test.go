package assemble_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"secretless/internal/assemble"
	"secretless/internal/config"
)

// The definition that is delivered is the one of today's connectors, providers
// and keys.
func TestDeliveredDefinition(t *testing.T) {
	path := filepath.Join("..", "..", "deploy", "kubernetes", "base", "crd.yaml")
	delivered, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	generated, err := config.CRD(assemble.SchemaInput(assemble.Connectors(), assemble.Providers()), "")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(delivered, generated) {
		t.Error("deploy/kubernetes/base/crd.yaml is not what the types say; write it anew: go run ./cmd/secretless schema crd > deploy/kubernetes/base/crd.yaml")
	}
}
