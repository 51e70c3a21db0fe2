package mssql

import (
	"os"
	"testing"

	"secretless/internal/connector/connectortest"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

type front = connectortest.Front[*Connector]

func newFront(t *testing.T, creds ...map[string]string) *front {
	t.Helper()
	return connectortest.NewFront(t, newConnector(), creds...)
}
