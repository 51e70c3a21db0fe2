//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

var update = flag.Bool("update", false, "rewrite the documents that tests produce")

// sshFeature is a row of the table in the documentation.
type sshFeature struct {
	name string
	how  string // it was tried
	// try returns an error where the feature does not work as it should. It
	// must not fail the test.
	try func(*testing.T, sshPlace) error
	// differs says why the feature works in one of the places alone.
	differs string
}

// sshChapter is a part of the table.
type sshChapter struct {
	title    string
	features []sshFeature
}

func sshChapters() []sshChapter {
	return []sshChapter{
		{"Commands and sessions", sshSessionFeatures()},
		{"Terminals", sshTerminalFeatures()},
		{"Files", sshFileFeatures()},
		{"Forwarding", sshForwardFeatures()},
		{"Connections", sshConnectionFeatures()},
		{"Encryption and identity", sshIdentityFeatures()},
	}
}

const sshFeatureTable = "../../docs/connectors/ssh-features.md"

// What OpenSSH's programs can do, tried with the server itself and with the
// broker in between. The documentation's table is what came of it.
func TestSSHFeatures(t *testing.T) {
	server := testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer})
	direct := sshDirect(t, server)
	through := startSSH(t, sshTarget(server)).sshPlace(t)
	liberal := sshTarget(server)
	liberal.settings = []string{"config: { agentForwarding: true, x11Forwarding: true }"}
	allowing := startSSH(t, liberal).sshPlace(t)
	through.allowing = &allowing
	chapters := sshChapters()
	works := map[string][2]error{}
	tried := make(chan func(), 200)
	t.Run("feature", func(t *testing.T) {
		for _, c := range chapters {
			for _, f := range c.features {
				t.Run(f.name, func(t *testing.T) {
					t.Parallel()
					result := [2]error{f.try(t, direct), f.try(t, through)}
					tried <- func() { works[f.name] = result }
					f.judge(t, result[0], result[1])
				})
			}
		}
	})
	close(tried)
	for note := range tried {
		note()
	}
	total := 0
	for _, c := range chapters {
		total += len(c.features)
	}
	if len(works) != total {
		t.Skip("not every feature was tried: the table is not compared")
	}
	compareDocument(t, sshFeatureTable, sshDocument(chapters, works))
}

// sshFeatureServer shows a text before it lets anybody in, and needs no
// program to keep the secrets of X11.
const sshFeatureServer = "Banner /etc/debian_version\nXAuthLocation /bin/true"

// judge fails the test where the table would have to lie.
func (f sshFeature) judge(t *testing.T, direct, through error) {
	t.Helper()
	switch {
	case f.differs == "" && direct != nil:
		t.Errorf("directly: %v", direct)
	case f.differs == "" && through != nil:
		t.Errorf("works directly, but not through the broker: %v", through)
	case f.differs != "" && (direct == nil) == (through == nil):
		t.Errorf("the table says why it differs, but it does not: directly %v, through the broker %v", direct, through)
	}
}

func sshDocument(chapters []sshChapter, works map[string][2]error) string {
	var b strings.Builder
	total, differ := 0, 0
	for _, c := range chapters {
		fmt.Fprintf(&b, "\n## %s\n\n| feature | tried with | directly | through the broker | why it differs |\n|---|---|---|---|---|\n", c.title)
		for _, f := range c.features {
			direct, through := answered(works[f.name][0]), answered(works[f.name][1])
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.name, strings.ReplaceAll(f.how, "|", `\|`), direct, through, f.differs)
			total++
			if direct != through {
				differ++
			}
		}
	}
	return fmt.Sprintf(`# What OpenSSH can do through the broker

Written by TestSSHFeatures (internal/e2e): OpenSSH's server and its programs, each feature tried with the server
itself and with the ssh connector in between. The test fails where this page is not what it finds, and where a
feature differs without a reason. To write it anew: `+"`go test ./internal/e2e -run '^TestSSHFeatures$' -update`"+`.

%d features, %d of them the same both ways. Directly, the client has a key that the server takes; through the broker
it has none, and another user's name.
%s`, total, total-differ, b.String())
}

func answered(err error) string {
	if err != nil {
		return "no"
	}
	return "works"
}

// compareDocument fails the test where the file is not what was produced, or
// writes it where that was asked for.
func compareDocument(t *testing.T, path, text string) {
	t.Helper()
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(was) == text {
		return
	}
	for _, line := range missing(text, string(was)) {
		t.Errorf("%s is not what the test finds; write it anew with -update. It lacks: %s", path, line)
	}
	for _, line := range missing(string(was), text) {
		t.Errorf("%s is not what the test finds; write it anew with -update. It has: %s", path, line)
	}
}

// missing are the lines of text that other does not have.
func missing(text, other string) []string {
	have := strings.Split(other, "\n")
	var all []string
	for _, line := range strings.Split(text, "\n") {
		if !slices.Contains(have, line) {
			all = append(all, line)
		}
	}
	return all
}
