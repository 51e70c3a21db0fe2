package archtest

import (
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// rule says what the packages that match pkg may import of the project. A star
// at the end of a pattern matches everything below; "own" stands for the
// folder of the connector or provider itself.
type rule struct {
	pkg string
	may []string
	why string
}

const sharesAWS = "a provider depends on the contract and, among those of AWS, on the way to it that they share"

var awsProvider = []string{"internal/provider", "internal/provider/awsconfig", "internal/secret", "own"}

const leaf = "it is a leaf: everything imports it, so it imports nothing of ours"

// rules are read from the top; the first that matches a package counts.
var rules = []rule{
	{"cmd/*", []string{"internal/cli"}, "main is os.Exit(cli.Run(…)) and nothing else"},
	{"packaging/manpages", []string{"internal/cli"}, "it describes the command line"},
	{"internal/cli", []string{"internal/*"}, "nothing but main is above it"},
	{
		"internal/assemble",
		[]string{
			"internal/broker", "internal/config", "internal/connector", "internal/connector/*", "internal/provider",
			"internal/provider/*", "internal/secret", "internal/peer", "internal/relay", "internal/target", "internal/audit", "internal/otlp",
		},
		"it puts services together and knows neither commands nor the admin endpoint",
	},
	{"internal/summon", []string{"internal/config"}, "it reads a format and writes files: the command asks providers and runs programs"},
	{"internal/config", []string{"internal/secret"}, "configuration is plain data: assemble turns it into services"},
	{
		"internal/broker",
		[]string{"internal/connector", "internal/peer", "internal/relay", "internal/audit", "internal/secret", "internal/slab", "internal/sockio", "internal/stage", "internal/histogram"},
		"the broker runs services and knows no protocol, provider or file format",
	},
	{
		"internal/admin",
		[]string{"internal/harden", "internal/broker", "internal/audit", "internal/connector", "internal/peer", "internal/place", "internal/plainjson", "internal/secret"},
		"it shows what the broker does",
	},
	{
		"internal/top",
		[]string{"internal/admin", "internal/broker"},
		"it draws what the admin socket tells, and reaches the broker in no other way",
	},
	{
		"internal/metrics",
		[]string{"internal/broker", "internal/connector", "internal/provider", "internal/histogram", "internal/otlp"},
		"it reads what others count",
	},
	{"internal/otlp", []string{"internal/secret", "internal/stage"}, "it sends what it is given and knows neither services nor files"},
	{
		"internal/doctor",
		[]string{"internal/broker", "internal/connector", "internal/provider", "internal/secret"},
		"it examines what has been put together and knows neither files nor commands",
	},
	{
		"internal/audit",
		[]string{"internal/connector", "internal/peer", "internal/place", "internal/plainjson", "internal/secret"},
		"events are about connections and know nothing of who runs them",
	},
	{"internal/audit/audittest", []string{"internal/audit"}, "it checks lines and knows nothing of who causes them"},
	{
		"internal/connector/connectortest",
		[]string{
			"internal/audit", "internal/audit/audittest", "internal/broker", "internal/connector", "internal/peer", "internal/provider",
			"internal/provider/*", "internal/relay", "internal/secret", "internal/target", "internal/testenv",
		},
		"the suite runs any connector in a real broker and knows none of them",
	},
	{"internal/connector", []string{"internal/peer", "internal/secret", "internal/stage"}, "it is the contract, not an implementation"},
	{"internal/connector/sshkey", []string{"internal/fips", "internal/secret"}, "keys and host keys are read for the SSH connectors, which know who connects to what"},
	{
		"internal/connector/ssh",
		[]string{"internal/connector", "internal/connector/database", "internal/connector/sshkey", "internal/fips", "internal/keyfile", "internal/secret", "internal/target", "internal/wire/*", "own"},
		"a connector depends on the contract, what it shares with its sister, and its codec",
	},
	{
		"internal/connector/sshagent",
		[]string{"internal/connector", "internal/connector/sshkey", "internal/secret", "internal/wire/*", "own"},
		"a connector depends on the contract, what it shares with its sister, and its codec",
	},
	{"internal/connector/httpproxy/origin", nil, leaf},
	{
		"internal/connector/httpproxy",
		[]string{"internal/connector", "internal/connector/database", "internal/localca", "internal/secret", "internal/sockio", "internal/stage", "internal/target", "internal/wire/http1wire", "own"},
		"the proxy has a certificate authority; what adds credentials to requests does not need it",
	},
	{
		"internal/connector/*",
		[]string{"internal/connector", "internal/connector/database", "internal/fips", "internal/secret", "internal/slab", "internal/sockio", "internal/stage", "internal/target", "internal/relay", "internal/wire/*", "own"},
		"a connector depends on the contract and its codec alone: never on another connector, a provider, config or broker",
	},
	{"internal/provider", []string{"internal/secret", "internal/stage", "internal/histogram"}, "it is the contract and the resolver, not a source"},
	{"internal/provider/providertest", []string{"internal/provider", "internal/secret", "internal/testenv"}, "the suite knows no provider"},
	{"internal/provider/aws", awsProvider, sharesAWS},
	{"internal/provider/awsssm", awsProvider, sharesAWS},
	{"internal/provider/awsrdsiam", awsProvider, sharesAWS},
	{
		"internal/provider/kubernetes",
		[]string{"internal/kubeapi", "internal/provider", "internal/secret", "own"},
		"a provider depends on the contract and, here, on the way to an API server",
	},
	{
		"internal/provider/*",
		[]string{"internal/provider", "internal/secret", "own"},
		"a provider depends on the contract alone",
	},
	{"internal/target", []string{"internal/secret", "internal/connector", "internal/sockio"}, "dialling serves every connector and knows none"},
	{"internal/resource", []string{"internal/kubeapi"}, "it follows a resource and does not know what it says"},
	{"internal/kubeapi", []string{"internal/secret"}, "it asks an API server and knows neither providers nor configurations"},
	{"internal/sdnotify", nil, leaf},
	{"internal/secret", nil, leaf},
	{"internal/slab", nil, leaf},
	{"internal/sockio", nil, leaf},
	{"internal/stage", nil, leaf},
	{"internal/histogram", nil, leaf},
	{"internal/fips", nil, leaf},
	{"internal/harden", nil, "it is about the process and knows nothing of what the process does"},
	{"internal/peer", nil, leaf},
	{"internal/place", nil, leaf},
	{"internal/plainjson", nil, leaf},
	{"internal/relay", []string{"internal/slab", "internal/sockio"}, "it moves bytes and knows nothing of what they mean"},
	{"internal/keyfile", nil, leaf},
	{"internal/localca", []string{"internal/fips", "internal/keyfile"}, "it makes certificates and knows nothing of who asks for them"},
	{"internal/wire/*", []string{"internal/wire/readahead"}, "a codec turns bytes into messages and knows nothing else"},
	{"internal/testenv", []string{"internal/testenv/*"}, "servers for tests have nothing to do with the broker"},
	{"internal/testenv/*", []string{"internal/testenv", "internal/testenv/*", "internal/wire/*"}, "a test server may share a codec with the broker, and nothing else"},
	{"bench", []string{"internal/testenv"}, "benchmarks drive the program as users do"},
	{"bench/*", []string{"internal/testenv", "bench", "bench/*"}, "benchmarks drive the program as users do"},
}

// onlyForTests are packages that the program must not contain.
var onlyForTests = []string{"internal/testenv", "internal/audit/audittest", "internal/connector/connectortest", "internal/provider/providertest"}

func matches(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(pkg, below+"/")
	}
	return pattern == pkg
}

func ruleFor(pkg string) (rule, bool) {
	for _, r := range rules {
		if matches(r.pkg, pkg) {
			return r, true
		}
	}
	return rule{}, false
}

// ownFolder is internal/connector/postgres for that package and all below it.
func ownFolder(pkg string) string {
	parts := strings.SplitN(pkg, "/", 4)
	return strings.Join(parts[:min(3, len(parts))], "/")
}

func (r rule) allows(pkg, imported string) bool {
	for _, pattern := range r.may {
		if pattern == "own" {
			own := ownFolder(pkg)
			if imported == own || strings.HasPrefix(imported, own+"/") {
				return true
			}
		} else if matches(pattern, imported) {
			return true
		}
	}
	return false
}

func isOnlyForTests(pkg string) bool {
	for _, p := range onlyForTests {
		if pkg == p || strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}

// brokenImport returns why pkg may not import imported, or nothing.
func brokenImport(pkg, imported string) string {
	r, ok := ruleFor(pkg)
	switch {
	case !ok:
		return "package " + pkg + " has no rule yet: add one to rules in internal/archtest and to docs/architecture.md"
	case isOnlyForTests(imported) && !isOnlyForTests(pkg) && !strings.HasPrefix(pkg, "bench"):
		return pkg + " imports " + imported + ", which is for tests: the program must not contain it"
	case !r.allows(pkg, imported):
		return pkg + " imports " + imported + ": " + r.why
	}
	return ""
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, imported := range s.imports() {
			if why := brokenImport(s.pkg, imported); why != "" {
				t.Errorf("%s: %s", s.path, why)
			}
		}
		if name := s.name("testing"); name != "" && !isOnlyForTests(s.pkg) {
			t.Errorf("%s: imports testing, which only tests may: it adds flags to the program", s.path)
		}
	}
}

func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		ok            bool
	}{
		{"cmd/secretless", "internal/cli", true},
		{"cmd/secretless", "internal/broker", false},
		{"internal/cli", "internal/broker", true},
		{"internal/assemble", "internal/connector/mysql", true},
		{"internal/assemble", "internal/cli", false},
		{"internal/config", "internal/secret", true},
		{"internal/summon", "internal/config", true},
		{"internal/summon", "internal/provider", false},
		{"internal/config", "internal/connector", false},
		{"internal/broker", "internal/config", false},
		{"internal/broker", "internal/provider", false},
		{"internal/connector", "internal/relay", false},
		{"internal/connector/mysql", "internal/wire/mysqlwire", true},
		{"internal/connector/mysql", "internal/connector/postgres", false},
		{"internal/connector/mysql", "internal/connector/database", true},
		{"internal/connector/database", "internal/connector/mysql", false},
		{"internal/connector/mysql", "internal/connector/sshkey", false},
		{"internal/connector/ssh", "internal/connector/sshkey", true},
		{"internal/connector/sshagent", "internal/connector/sshkey", true},
		{"internal/connector/sshagent", "internal/connector/ssh", false},
		{"internal/connector/sshkey", "internal/connector", false},
		{"internal/connector/mysql", "internal/provider", false},
		{"internal/connector/mysql", "internal/config", false},
		{"internal/connector/httpproxy", "internal/connector/httpproxy/aws", true},
		{"internal/connector/httpproxy/aws", "internal/connector/httpproxy/conjur", true},
		{"internal/connector/httpproxy/aws", "internal/connector/ssh", false},
		{"internal/connector/httpproxy", "internal/localca", true},
		{"internal/connector/httpproxy/aws", "internal/localca", false},
		{"internal/provider/vault", "internal/secret", true},
		{"internal/provider/vault", "internal/provider/env", false},
		{"internal/provider/vault", "internal/connector", false},
		{"internal/provider/awsssm", "internal/provider/awsconfig", true},
		{"internal/provider/awsssm", "internal/provider/aws", false},
		{"internal/provider/vault", "internal/provider/awsconfig", false},
		{"internal/secret", "internal/peer", false},
		{"internal/relay", "internal/secret", false},
		{"internal/wire/tds", "internal/secret", false},
		{"internal/wire/tds", "internal/wire/readahead", true},
		{"internal/wire/tds", "internal/wire/mysqlwire", false},
		{"internal/cli", "internal/testenv", false},
		{"internal/cli", "internal/connector/connectortest", false},
		{"internal/unheardof", "internal/secret", false},
	} {
		if why := brokenImport(c.pkg, c.imported); (why == "") != c.ok {
			t.Errorf("%s → %s: %q, want allowed=%v", c.pkg, c.imported, why, c.ok)
		}
	}
}
