//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/cli"
	"secretless/internal/testenv"
)

// agentPlace is the broker as an agent, with the key in a file.
type agentPlace struct {
	*running
	key string // the file
}

func (a agentPlace) socket() string { return filepath.Join(a.dir, "agent.sock") }

// agentYAML is a configuration with one service; settings are further lines of
// it, with their own indent.
func (a agentPlace) agentYAML(settings ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: "2"
services:
  deploy-key:
    connector: ssh-agent
    listenOn: unix://%s
    credentials:
      privateKey: { from: file, get: %s }
`, a.socket(), a.key)
	for _, line := range settings {
		fmt.Fprintf(&b, "%s\n", line)
	}
	fmt.Fprintf(&b, "audit: { to: \"file://%s/audit.jsonl\", required: true }\n", a.dir)
	return b.String()
}

func startAgent(t *testing.T, private string, settings ...string) agentPlace {
	t.Helper()
	r := prepare(t)
	a := agentPlace{r, filepath.Join(r.dir, "key")}
	a.rotate(private)
	t.Cleanup(func() { r.checkSSHSecrets(map[string]string{"privateKey": private}) })
	r.run(a.agentYAML(settings...))
	return a
}

// rotate puts another key into the provider's file.
func (a agentPlace) rotate(private string) {
	a.t.Helper()
	if err := os.WriteFile(a.key+".new", []byte(private), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(a.key+".new", a.key); err != nil {
		a.t.Fatal(err)
	}
}

// sshAdd runs ssh-add.
func (a agentPlace) sshAdd(args ...string) (string, error) {
	a.t.Helper()
	return testenv.Command(a.t, []string{"SSH_AUTH_SOCK=" + a.socket()}, testenv.Tool(a.t, "ssh-add"), args...)
}

// place is the server, for clients whose only keys are the agent's.
func (a agentPlace) place(s *testenv.SSHServer) sshPlace {
	a.t.Helper()
	client := s.Client(testenv.SSHKey{})
	client.Options = "IdentityAgent " + a.socket() + "\nIdentitiesOnly no\n"
	return newSSHPlace(a.t, client)
}

// uses are the events of signatures in the audit.
func (a agentPlace) uses() (out []agentUse) {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, "audit.jsonl"))
	if err != nil {
		a.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var u agentUse
		if err := json.Unmarshal(line, &u); err != nil {
			a.t.Fatalf("%v in %s", err, line)
		}
		if u.Event == "used" {
			out = append(out, u)
		}
	}
	return out
}

type agentUse struct {
	Event, Service, Connector, Detail string
	Peer                              struct {
		UID        *int
		PID        int
		Executable string
	}
}

func fingerprintOf(t *testing.T, line string) string {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(key)
}

func TestGitWithADeployKeyOfTheAgent(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{})
	a := startAgent(t, s.Keys.Ed25519.Private, "      comment: deploy key", "    config:", "      allowHosts:", "        - "+strings.TrimSpace(s.HostKeys()[0]))
	p := a.place(s)
	git := testenv.Tool(t, "git")
	repository := filepath.Join(p.dir, "shop.git")
	if out, err := testenv.Command(t, nil, git, "init", "-q", "--bare", repository); err != nil {
		t.Fatal(err, out)
	}
	clone := filepath.Join(p.dir, "clone")
	for _, args := range [][]string{
		{"clone", "-q", "ssh://" + testenv.SSHHost + repository, clone},
		{"-C", clone, "commit", "-q", "--allow-empty", "-m", "first"},
		{"-C", clone, "push", "-q", "origin", "HEAD:refs/heads/main"},
	} {
		if r := p.run(t, nil, git, args...); r.code != 0 {
			t.Fatalf("git %v: %+v\n%s", args, r, a.log)
		}
	}
	uses := a.uses()
	if len(uses) != 2 {
		t.Fatalf("audit has %+v", uses)
	}
	want := fingerprintOf(t, s.Keys.Ed25519.Public) + ` "deploy key": login as "` + s.User + `" on host ` + fingerprintOf(t, s.HostKeys()[0])
	for _, u := range uses {
		if u.Detail != want || u.Service != "deploy-key" || u.Connector != "ssh-agent" || filepath.Base(u.Peer.Executable) != "ssh" || u.Peer.PID == 0 || u.Peer.UID == nil {
			t.Errorf("audit has %+v, want %q by ssh", u, want)
		}
	}
}

func TestAgentFollowsRotation(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{})
	a := startAgent(t, s.Keys.Unknown.Private)
	p := a.place(s)
	login := func() sshResult {
		return p.run(t, nil, testenv.Tool(t, "ssh"), "-F", p.Config, testenv.SSHHost, "echo hello")
	}
	if r := login(); r.code == 0 {
		t.Fatalf("logged in with a key that the server does not know: %+v", r)
	}
	a.rotate(s.Keys.ECDSA256.Private)
	if err := login().prints("hello\n"); err != nil {
		t.Fatalf("after the rotation: %v\n%s", err, a.log)
	}
	if out, err := a.sshAdd("-l"); err != nil || !strings.Contains(out, fingerprintOf(t, s.Keys.ECDSA256.Public)+" deploy-key (ECDSA)") {
		t.Errorf("ssh-add -l: %v\n%s", err, out)
	}
}

func TestAgentTellsThatAKeyIsMissing(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{})
	a := startAgent(t, s.Keys.Ed25519.Private)
	if err := os.Remove(a.key); err != nil {
		t.Fatal(err)
	}
	if out, err := a.sshAdd("-l"); err == nil || !strings.Contains(out, "refused operation") {
		t.Errorf("ssh-add -l: %v\n%s", err, out)
	}
	a.eventually("the reason in the log", func() bool { return a.log.has("credentials") && a.log.has(a.key) })
	a.rotate(s.Keys.Ed25519.Private)
	if out, err := a.sshAdd("-l"); err != nil {
		t.Errorf("once it is there again: %v\n%s", err, out)
	}
}

func TestAgentReload(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{})
	a := startAgent(t, s.Keys.Ed25519.Private)
	a.write(a.agentYAML("      comment: another comment"))
	a.signals <- syscall.SIGHUP
	a.eventually("the new comment", func() bool {
		out, err := a.sshAdd("-l")
		return err == nil && strings.Contains(out, " another comment (ED25519)")
	})
}

func TestAgentConfiguration(t *testing.T) {
	r := prepare(t)
	a := agentPlace{r, filepath.Join(r.dir, "key")}
	for yaml, want := range map[string]string{
		a.agentYAML("    config: { allowHosts: [] }"):                 "allowHosts is empty",
		a.agentYAML("    config: { allowHosts: [github.com] }"):       `allowHosts: "github.com": the key is not base64`,
		a.agentYAML("    config: { confirm: [ask] }"):                 "is not an absolute path",
		a.agentYAML("    config: { confirmTimeout: 1h }"):             "is not between 1s and 10m",
		a.agentYAML("      certificate2: x"):                          `credential "certificate2" belongs to no key: there is no privateKey2`,
		a.agentYAML("      privateKey9: x"):                           `"privateKey9"`,
		a.agentYAML("      lifetime: soon"):                           "it is a whole number of seconds",
		a.agentYAML("      confirm: maybe"):                           "it is true or false",
		a.agentYAML("      confirm: true", "      lifetime: 3600"):    "",
		a.agentYAML("      rsa2: { from: env, get: KEY }"):            "",
		a.agentYAML("    config: { allowHosts: [" + someHost + "] }"): "",
	} {
		a.write(yaml)
		log := &buffer{}
		code := cli.Run(t.Context(), cli.Env{
			Stdin: strings.NewReader(""), Stdout: log, Stderr: log,
			LookupEnv: func(string) (string, bool) { return "", false },
		}, []string{"validate", "-f", a.config})
		if (code == 0) != (want == "") || !log.has(want) {
			t.Errorf("code %d, want %q:\n%s\n%s", code, want, log, yaml)
		}
	}
}

const someHost = "SHA256:gTsiFYXb8F5m9q9QkKQ3sJxq0OwjZo0GzB0yW0yJm2E"
