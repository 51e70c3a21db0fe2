// Package assemble turns a configuration into services that the broker can
// run. It holds the two tables that say which connectors and providers exist,
// and it checks everything that can be checked without connecting anywhere.
package assemble

import (
	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy"
	httpaws "secretless/internal/connector/httpproxy/aws"
	"secretless/internal/connector/httpproxy/basicauth"
	"secretless/internal/connector/httpproxy/conjur"
	"secretless/internal/connector/httpproxy/gcp"
	"secretless/internal/connector/httpproxy/generic"
	"secretless/internal/connector/httpproxy/oauth2"
	"secretless/internal/connector/mssql"
	"secretless/internal/connector/mysql"
	"secretless/internal/connector/postgres"
	"secretless/internal/connector/ssh"
	"secretless/internal/connector/sshagent"
	"secretless/internal/provider"
	"secretless/internal/provider/aws"
	"secretless/internal/provider/awsrdsiam"
	"secretless/internal/provider/awsssm"
	conjurprovider "secretless/internal/provider/conjur"
	"secretless/internal/provider/env"
	"secretless/internal/provider/exec"
	"secretless/internal/provider/file"
	"secretless/internal/provider/keychain"
	"secretless/internal/provider/kubernetes"
	"secretless/internal/provider/literal"
	"secretless/internal/provider/vault"
)

// Connectors is the table of service connectors: one line each.
func Connectors() map[string]connector.Definition {
	return map[string]connector.Definition{
		"aws":          httpproxy.Define(httpaws.Definition()),
		"basic_auth":   httpproxy.Define(basicauth.Definition()),
		"conjur":       httpproxy.Define(conjur.Definition()),
		"gcp":          httpproxy.Define(gcp.Definition()),
		"generic_http": httpproxy.Define(generic.Definition()),
		"mssql":        mssql.Definition(),
		"mysql":        mysql.Definition(),
		"oauth2":       httpproxy.Define(oauth2.Definition()),
		"pg":           postgres.Definition(),
		"ssh":          ssh.Definition(),
		"ssh-agent":    sshagent.Definition(),
	}
}

// Providers is the table of credential providers: one line each.
func Providers() map[string]provider.Definition {
	return map[string]provider.Definition{
		"literal":     literal.Definition(),
		"env":         env.Definition(),
		"exec":        exec.Definition(),
		"file":        file.Definition(),
		"systemd":     file.Systemd(),
		"keychain":    keychain.Definition(),
		"kubernetes":  kubernetes.Definition(),
		"aws":         aws.Definition(),
		"aws-rds-iam": awsrdsiam.Definition(),
		"aws-ssm":     awsssm.Definition(),
		"vault":       vault.Definition(),
		"conjur":      conjurprovider.Definition(),
	}
}
