//go:build unix

package sshagent

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/peer"
)

// asks is a config whose confirm command is a shell script. $1 is a directory
// for what the script writes, $2 the question.
func asks(t *testing.T, script string) (config Config, dir string) {
	t.Helper()
	dir = t.TempDir()
	return Config{Confirm: []string{"/bin/sh", "-c", script, "ask", dir}}, dir
}

func confirmed(k key) map[string]string {
	return map[string]string{"privateKey": k.text, "comment": "deploy key", "confirm": "true"}
}

func TestConfirmSaysYes(t *testing.T) {
	k, host := newKey(t, "ed25519"), newKey(t, "ed25519")
	config, dir := asks(t, `env >"$1/env"; printf %s "$2" >"$1/question"`)
	f := newFront(t, config, confirmed(k))
	f.peer = peer.Identity{Known: true, UID: 1000, GID: 1000, PID: 4711, Executable: "/usr/bin/git"}
	t.Setenv("SECRET_OF_THE_BROKER", "c4nary")
	l, c := newLogin(host), f.client()
	if err := l.bind(t, c, false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sign(k.public, l.data("git", k.public)); err != nil {
		t.Fatal(err, f.log)
	}
	purpose := `login as "git" on host ` + ssh.FingerprintSHA256(host.public)
	question, _ := os.ReadFile(filepath.Join(dir, "question"))
	want := `Allow uid 1000 gid 1000 pid 4711 executable "/usr/bin/git" to use the key "deploy key" (` + ssh.FingerprintSHA256(k.public) + `) of deploy? Purpose: ` + purpose + `.`
	if string(question) != want {
		t.Errorf("question is %q, want %q", question, want)
	}
	env, _ := os.ReadFile(filepath.Join(dir, "env"))
	for _, want := range []string{
		"SSH_ASKPASS_PROMPT=confirm\n", "SECRETLESS_SERVICE=deploy\n", "SECRETLESS_KEY=" + ssh.FingerprintSHA256(k.public) + "\n",
		"SECRETLESS_HOST=" + ssh.FingerprintSHA256(host.public) + "\n", `SECRETLESS_USER="git"` + "\n", "SECRETLESS_PEER_PID=4711\n", "SECRETLESS_PURPOSE=" + purpose + "\n",
	} {
		if !strings.Contains(string(env), want) {
			t.Errorf("environment lacks %q:\n%s", want, env)
		}
	}
	if strings.Contains(string(env), "c4nary") || strings.Contains(string(env), "PRIVATE") {
		t.Errorf("environment has too much:\n%s", env)
	}
	if len(f.used()) != 1 {
		t.Errorf("audit has %q", f.used())
	}
}

func TestConfirmRefuses(t *testing.T) {
	k := newKey(t, "ed25519")
	no, _ := asks(t, "exit 1")
	killed, _ := asks(t, "kill -9 $$")
	missing := Config{Confirm: []string{filepath.Join(t.TempDir(), "missing")}}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"no":         {no, "said no (exit status 1)"},
		"killed":     {killed, "said no (signal: killed)"},
		"missing":    {missing, "did not run"},
		"no command": {Config{}, "has no confirm command"},
	} {
		f := newFront(t, c.config, confirmed(k))
		client := f.client()
		if _, err := client.Sign(k.public, []byte("data")); err == nil {
			t.Errorf("%s: signed", name)
		}
		if len(f.used()) > 0 || !strings.Contains(f.log.String(), c.want) {
			t.Errorf("%s: audit has %q, log:\n%s", name, f.used(), f.log)
		}
		if keys := list(t, client); len(keys) != 1 {
			t.Errorf("%s: the connection does not go on", name)
		}
	}
}

func TestConfirmEndsWithItsTimeAndItsChildren(t *testing.T) {
	k := newKey(t, "ed25519")
	config, dir := asks(t, `sleep 600 & echo $! >"$1/child"; wait`)
	config.ConfirmTimeout = time.Second
	f := newFront(t, config, confirmed(k))
	if _, err := f.client().Sign(k.public, []byte("data")); err == nil {
		t.Fatal("signed")
	}
	if !strings.Contains(f.log.String(), "nobody confirmed it within 1s") {
		t.Errorf("log:\n%s", f.log)
	}
	child, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the command's child is still there")
		}
	}
}

func TestConfirmEndsWithTheService(t *testing.T) {
	k := newKey(t, "ed25519")
	config, dir := asks(t, `echo >"$1/asked"; exec sleep 600`)
	f := newFront(t, config, confirmed(k))
	c := f.client()
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(dir, "asked")); err == nil {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		f.stop(nil)
	}()
	if _, err := c.Sign(k.public, []byte("data")); err == nil {
		t.Error("signed")
	}
	if f.established.Load() == 0 {
		t.Error("the handshake timeout runs while somebody thinks")
	}
}

func TestAsksOneQuestionAtATime(t *testing.T) {
	k := newKey(t, "ed25519")
	config, _ := asks(t, `mkdir "$1/lock" || exit 1; sleep 0.05; rmdir "$1/lock"`)
	f := newFront(t, config, confirmed(k))
	var all sync.WaitGroup
	for range 8 {
		c := f.client()
		all.Go(func() {
			if _, err := c.Sign(k.public, []byte("data")); err != nil {
				t.Errorf("%v; log:\n%s", err, f.log)
			}
		})
	}
	all.Wait()
}
