package mysql

import (
	"os"
	"testing"

	"secretless/internal/connector/connectortest"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

type front = connectortest.Front[*Connector]

func newFront(t *testing.T, config Config, creds ...map[string]string) *front {
	t.Helper()
	if err := config.complete(); err != nil {
		t.Fatal(err)
	}
	return connectortest.NewFront(t, newConnector(config), creds...)
}
