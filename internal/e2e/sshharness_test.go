//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/testenv"
)

// sshService is one service of the ssh connector.
type sshService struct {
	port int
	user string // empty: whoever the client says
	// secrets are credentials by name; they come from the environment.
	secrets map[string]string
	// hostKey is what the target is known by, or accept-any.
	hostKey  string
	settings []string // further lines of the service, with their own indent
}

// sshYAML is a configuration with one service on the port and on a unix socket.
func (r *running) sshYAML(s sshService) string {
	var b strings.Builder
	fmt.Fprintf(&b, `version: "2"
services:
  host:
    connector: ssh
    listenOn: ["tcp://127.0.0.1:%d", "unix://%s/ssh.sock"]
    drain: 5s
    credentials:
      address: "127.0.0.1:%d"
`, r.port, r.dir, s.port)
	if s.user != "" {
		fmt.Fprintf(&b, "      user: %s\n", s.user)
	}
	if s.hostKey != "" {
		r.env["SSH_HOST_KEY"] = s.hostKey
		b.WriteString("      hostKey: { from: env, get: SSH_HOST_KEY }\n")
	}
	for name, value := range s.secrets {
		variable := "SSH_" + strings.ToUpper(name)
		r.env[variable] = value
		fmt.Fprintf(&b, "      %s: { from: env, get: %s }\n", name, variable)
	}
	for _, line := range s.settings {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	fmt.Fprintf(&b, "admin: { health: \"unix://%s/health\", socket: \"unix://%s/admin\" }\n", r.dir, r.dir)
	fmt.Fprintf(&b, "audit: { to: \"file://%s/audit.jsonl\" }\nstate: %s/state\n", r.dir, r.dir)
	return b.String()
}

// startSSH runs the program in front of s and stops it with the test.
func startSSH(t *testing.T, s sshService) *running {
	t.Helper()
	r := prepare(t)
	t.Cleanup(func() { r.checkSSHSecrets(s.secrets) }) // after the broker has stopped
	r.run(r.sshYAML(s))
	return r
}

// checkSSHSecrets looks for a line of any secret wherever the broker wrote.
func (r *running) checkSSHSecrets(secrets map[string]string) {
	r.t.Helper()
	audit, _ := os.ReadFile(filepath.Join(r.dir, "audit.jsonl"))
	for name, value := range secrets {
		if name == "certificate" {
			continue
		}
		for line := range strings.Lines(value) {
			line = strings.TrimSpace(line)
			if len(line) < 16 || strings.HasPrefix(line, "-----") {
				continue
			}
			if r.log.has(line) || bytes.Contains(audit, []byte(line)) {
				r.t.Errorf("a piece of %s is in the broker's log or audit", name)
			}
		}
	}
}

// sshTarget is a service for the server, with its ordinary key.
func sshTarget(s *testenv.SSHServer) sshService {
	return sshService{
		port: s.Port, user: s.User, hostKey: strings.Join(s.HostKeys(), ""),
		secrets: map[string]string{"privateKey": s.Keys.Ed25519.Private},
	}
}

// sshPlace is where clients connect: a server or the broker.
type sshPlace struct {
	testenv.SSHWay
	client testenv.SSHClient
	// dir is a directory of the place, short enough for sockets.
	dir string
	// allowing is a service for the same server that allows all it can; nil
	// where there is nothing to allow.
	allowing *sshPlace
}

// sshDirect is a server, for a client that has the key.
func sshDirect(t *testing.T, s *testenv.SSHServer) sshPlace {
	t.Helper()
	return newSSHPlace(t, s.Client(s.Keys.Ed25519))
}

// sshPlace is the broker, for a client with somebody else's name and no key.
func (r *running) sshPlace(t *testing.T) sshPlace {
	t.Helper()
	return newSSHPlace(t, testenv.SSHClient{Port: r.port, User: "somebody", HostKeys: []string{hostKeyAt(t, r.port)}})
}

func newSSHPlace(t *testing.T, c testenv.SSHClient) sshPlace {
	t.Helper()
	way := c.Way(t)
	return sshPlace{SSHWay: way, client: c, dir: filepath.Dir(way.Config)}
}

// hostKeyAt asks a server for its Ed25519 key, a line of authorized_keys.
func hostKeyAt(t *testing.T, port int) string {
	t.Helper()
	var line string
	client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &ssh.ClientConfig{
		User: "nobody-there", HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: patience,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			line = string(ssh.MarshalAuthorizedKey(key))
			return errors.New("seen enough")
		},
	})
	if err == nil {
		_ = client.Close()
	}
	if line == "" {
		t.Fatalf("no host key: %v", err)
	}
	return line
}

// sshResult is what a program printed and how it ended.
type sshResult struct {
	out, err string
	code     int // -1 if it was killed
}

// prints returns an error unless that was all, and the program ended well.
func (r sshResult) prints(out string) error { return r.ended(0, out) }

func (r sshResult) ended(code int, out string) error {
	if r.code != code || r.out != out || r.err != "" {
		return fmt.Errorf("exit code %d, output %.200q, errors %.400q; want %d and %.200q", r.code, r.out, r.err, code, out)
	}
	return nil
}

// fails returns an error unless the program failed and said so on stderr.
func (r sshResult) fails(text string) error {
	if r.code == 0 || !strings.Contains(r.err, text) {
		return fmt.Errorf("exit code %d, output %.200q, errors %.400q; want a failure with %q", r.code, r.out, r.err, text)
	}
	return nil
}

// says returns an error unless stderr has the text.
func (r sshResult) says(text string) error {
	if !strings.Contains(r.err, text) {
		return fmt.Errorf("exit code %d, errors %.2000q; want %q among them", r.code, r.err, text)
	}
	return nil
}

// command prepares a program with nothing of the environment.
func (p sshPlace) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "LC_ALL=C", "TERM=vt100",
		"GIT_SSH_COMMAND=ssh -F " + p.Config, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	cmd.WaitDelay = patience
	return cmd
}

// run runs a program to its end, a minute at most.
func (p sshPlace) run(t *testing.T, stdin io.Reader, name string, args ...string) sshResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := p.command(ctx, testenv.Tool(t, name), args...)
	var out, complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &complaint
	err := cmd.Run()
	if ctx.Err() != nil {
		fmt.Fprintf(&complaint, "%s did not end by itself (%v)", name, err)
	}
	return sshResult{out: out.String(), err: complaint.String(), code: cmd.ProcessState.ExitCode()}
}

// ssh runs a command on the host; options come first.
func (p sshPlace) ssh(t *testing.T, stdin io.Reader, command string, options ...string) sshResult {
	t.Helper()
	args := append([]string{"-F", p.Config}, options...)
	args = append(args, testenv.SSHHost)
	if command != "" {
		args = append(args, command)
	}
	return p.run(t, stdin, "ssh", args...)
}

// dial is Go's client, for what OpenSSH's does not show.
func (p sshPlace) dial(t *testing.T) (*ssh.Client, error) {
	t.Helper()
	config := &ssh.ClientConfig{User: p.client.User, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: patience}
	if p.client.Key != "" {
		key, err := ssh.ParsePrivateKey([]byte(p.client.Key))
		if err != nil {
			return nil, err
		}
		config.Auth = []ssh.AuthMethod{ssh.PublicKeys(key)}
	}
	client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.client.Port), config)
	if err != nil {
		return nil, err
	}
	// What waits in vain gets an error.
	late := time.AfterFunc(time.Minute, func() { _ = client.Close() })
	t.Cleanup(func() {
		late.Stop()
		_ = client.Close()
	})
	return client, nil
}

// heldSession is a client whose session stays until stop.
type heldSession struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	err   *buffer
	ended chan error
}

// hold starts ssh and returns when the session, and what the options ask for
// before it, is there.
func (p sshPlace) hold(t *testing.T, options ...string) (*heldSession, error) {
	t.Helper()
	args := append([]string{"-F", p.Config, "-o", "ExitOnForwardFailure=yes"}, options...)
	cmd := p.command(context.WithoutCancel(t.Context()), testenv.Tool(t, "ssh"), append(args, testenv.SSHHost, "echo ready; cat")...)
	h := &heldSession{cmd: cmd, err: &buffer{}, ended: make(chan error, 1)}
	cmd.Stderr = h.err
	var err error
	if h.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out := &buffer{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { h.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = h.stop()
	})
	if !await(func() bool { return out.has("ready\n") || len(h.ended) > 0 }) || !out.has("ready\n") {
		return nil, fmt.Errorf("the session does not begin: %s", h.err)
	}
	return h, nil
}

// stop ends the session in the ordinary way. It may be called twice.
func (h *heldSession) stop() error {
	_ = h.stdin.Close()
	select {
	case err := <-h.ended:
		h.ended <- err
		return err
	case <-time.After(patience):
		_ = h.cmd.Process.Kill()
		return fmt.Errorf("the session does not end: %s", h.err)
	}
}

// exitCode waits for a session that ends without its user's doing.
func (h *heldSession) exitCode() (int, error) {
	select {
	case err := <-h.ended:
		h.ended <- err
		return h.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("the session goes on: %s", h.err)
	}
}

// await waits for what should happen soon.
func await(ok func() bool) bool {
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// freshHostKey is a key that nobody has, a line of authorized_keys.
func freshHostKey() (string, error) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	return string(ssh.MarshalAuthorizedKey(key)), nil
}
