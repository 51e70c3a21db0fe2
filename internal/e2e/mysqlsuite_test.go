//go:build unix

package e2e

import (
	"fmt"
	"testing"

	"secretless/internal/testenv"
)

var mysqlSuite = suite{
	module:   "github.com/go-sql-driver/mysql",
	packages: []string{"."},
	skip:     "^TestConnectorReturnsTimeout", // dials a public address
	least:    300,
	notThroughTheBroker: map[string]string{
		"github.com/go-sql-driver/mysql TestEmptyPassword": "expects a server to refuse the empty password; the broker logs in with its own, whatever the client says",
	},
}

// go-sql-driver/mysql's own test suite, run directly and through the broker, with TLS on
// its listener.
func TestGoSQLDriverSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; not with -short")
	}
	server := testenv.NewMariaDB(t, testenv.Maria{Options: "--performance-schema=ON"})
	admin := server.Users.Admin
	server.Exec(t, "create database suite_direct", "create database suite_brokered")
	r := startMySQL(t, mysqlService{user: admin, port: server.Port, sslmode: "require", settings: listenerTLS(t, server.CA)})
	variables := func(port int, database, password string) []string {
		return []string{
			"MYSQL_TEST_USER=" + admin.Name, "MYSQL_TEST_PASS=" + password, "MYSQL_TEST_DBNAME=" + database,
			"MYSQL_TEST_PROT=tcp", fmt.Sprintf("MYSQL_TEST_ADDR=127.0.0.1:%d", port),
		}
	}
	mysqlSuite.compare(t, func(*testing.T) []string {
		return variables(server.Port, "suite_direct", admin.Password)
	}, func(*testing.T) []string {
		return variables(r.port, "suite_brokered", "of-no-interest")
	})
}

// listenerTLS are the lines of a service whose clients may use TLS.
func listenerTLS(t *testing.T, ca *testenv.PKI) []string {
	t.Helper()
	pair := ca.Server(t, testenv.CertECDSA)
	return []string{
		"tls:",
		"  cert: " + testenv.WriteFile(t, "listener.crt", pair.CertPEM),
		"  key: " + testenv.WriteFile(t, "listener.key", pair.KeyPEM),
	}
}
