package postgres

import (
	"maps"
	"os"
	"slices"
	"testing"

	"secretless/internal/connector/connectortest"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

type front = connectortest.Front[*Connector]

func newFront(t *testing.T, config Config, creds ...map[string]string) *front {
	t.Helper()
	var names []string
	for _, set := range creds {
		names = slices.AppendSeq(names, maps.Keys(set))
	}
	if err := config.complete(names); err != nil {
		t.Fatal(err)
	}
	return connectortest.NewFront(t, newConnector(config), creds...)
}
