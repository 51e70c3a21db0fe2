package docs

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// programs are those that the tests have no place for. A sh block that needs
// one of them is read, and not run.
var programs = map[string]string{
	"kubectl":   "needs a cluster; the tests of the Kubernetes parts run kubectl against a real API server",
	"helm":      "needs a cluster",
	"systemctl": "needs systemd as the machine's first process",
	"docker":    "needs a container runtime",
	"podman":    "needs a container runtime",
	"brew":      "needs macOS",
	"security":  "needs macOS",
	"cmdkey":    "needs Windows",
	"apt":       "changes the machine",
	"apt-get":   "changes the machine",
	"dpkg":      "changes the machine",
	"rpm":       "changes the machine",
	"dnf":       "changes the machine",
	"sudo":      "changes the machine",
	"git":       "gets the repository, which is there",
	"go":        "builds what script/test has built",
	"gdb":       "is not installed by script/setup",
	"vault":     "the command line of Vault is not installed",
	"conjur":    "the command line of Conjur is not installed",
}

// scripts of the repository are too long for a test, or are the test.
const scripts = "script/"

// notRun are the other sh blocks that are not run, by page and the beginning of
// the block's first line.
var notRun = map[string]string{
	"docs/connectors/aws.md: eval":            "needs AWS; docs/howto/aws-cli.md runs the same with a store that verifies signatures",
	"docs/connectors/aws.md: http_proxy=":     "needs AWS; the endpoints found are tested in internal/connector/httpproxy/aws",
	"docs/fips.md: GODEBUG":                   "serves until it is stopped; TestFIPSMode runs a broker so",
	"docs/howto/git-over-ssh.md: ssh-keyscan": "needs the git server's name; the next steps run with a server here",
	"docs/performance.md: pid=":               "needs perf and strace, and a run that goes on",
}

// whyNotRun is the reason for which a block is not run, and marks it as seen.
func (b block) whyNotRun(seen map[string]bool) string {
	for key, reason := range notRun {
		page, start, _ := strings.Cut(key, ": ")
		if page == b.page && strings.HasPrefix(b.text, start) {
			seen[key] = true
			return reason
		}
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(b.text), "")
	if err != nil {
		return "" // reported as such
	}
	reason := ""
	syntax.Walk(file, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok || reason != "" {
			return reason == ""
		}
		args := words(call)
		if len(args) > 0 && strings.HasPrefix(args[0], scripts) {
			reason = "is the test itself, or takes minutes"
		}
		for name, why := range programs {
			if slices.Contains(args[:min(1, len(args))], name) {
				reason = why
			}
		}
		return true
	})
	return reason
}
