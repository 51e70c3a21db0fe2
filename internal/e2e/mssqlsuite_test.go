//go:build unix

package e2e

import (
	"fmt"
	"net/url"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/testenv/tdsserver"
)

// The test server has neither tables nor procedures: the tests that need them
// fail directly and do not count. What is left covers logins, encryption,
// parameters, result sets, messages, transactions and cancellation.
var mssqlSuite = suite{
	module:   "github.com/microsoft/go-mssqldb",
	packages: []string{"."},
	// Reads more rows than the answer has, and ends the run.
	skip: "^TestLcidsFetching$",
	notThroughTheBroker: map[string]string{
		"github.com/microsoft/go-mssqldb TestBadCredentials": "expects a server to refuse a wrong password; the broker has its own",
	},
	least: 1300,
}

// go-mssqldb's own test suite, run directly and through the broker.
func TestGoMSSQLDBSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; not with -short")
	}
	ca := testenv.CA(t)
	user := tdsserver.User{Name: "sa", Password: "Secret#1"}
	config := tdsserver.Config{Users: []tdsserver.User{user}}
	direct, behind := newMSSQL(t, config, testenv.CertECDSA), newMSSQL(t, config, testenv.CertECDSA)
	cert, key := ca.Server(t, testenv.CertECDSA).Files(t)
	r := startMSSQL(t, mssqlService{
		user: user, port: behind.Addr().Port, sslmode: "require",
		settings: []string{fmt.Sprintf("tls: { cert: %q, key: %q }", cert, key)},
	})
	variables := func(port int) []string {
		dsn := url.URL{
			Scheme: "sqlserver", User: url.UserPassword(user.Name, user.Password), Host: fmt.Sprintf("127.0.0.1:%d", port),
			RawQuery: url.Values{"database": {"shop"}, "encrypt": {"disable"}, "TrustServerCertificate": {"true"}}.Encode(),
		}
		return []string{"SQLSERVER_DSN=" + dsn.String()}
	}
	mssqlSuite.compare(t,
		func(*testing.T) []string { return variables(direct.Addr().Port) },
		func(*testing.T) []string { return variables(r.port) },
	)
	t.Logf("logins: %d directly, %d through the broker", len(direct.Logins()), len(behind.Logins()))
	if len(behind.Logins()) < 100 {
		t.Error("the suite hardly went through the broker")
	}
}
