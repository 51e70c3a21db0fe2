//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"secretless/internal/testenv"
)

func sshConnectionFeatures() []sshFeature {
	return []sshFeature{
		{name: "Several sessions of one connection", how: "ControlMaster, 20 `ssh -S` at once", try: multiplexed},
		{name: "A connection that outlives its first session", how: "ControlMaster=auto, ControlPersist", try: persistent},
		{name: "A new key exchange in the middle", how: "`RekeyLimit 1M`, 16 MB each way", try: rekeyed},
		{name: "Compression", how: "`ssh -C`, 3 MB each way", try: func(t *testing.T, p sshPlace) error {
			words := strings.Repeat("much the same ", 200_000)
			return p.ssh(t, strings.NewReader(words), "cat", "-C").prints(words)
		}},
		{name: "Keepalive of the client", how: "`ServerAliveInterval 1`, one answer may be late; 3 s idle", try: runs("sleep 3; echo alive", "alive\n",
			"-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")},
		{name: "A text before the login", how: "the server's Banner", try: func(t *testing.T, p sshPlace) error {
			banner, err := os.ReadFile("/etc/debian_version")
			if err != nil {
				return err
			}
			return p.ssh(t, nil, "true", "-o", "LogLevel=INFO").says(strings.TrimSpace(string(banner)))
		}},
		{name: "TCP settings", how: "TCPKeepAlive=no, IPQoS=throughput", try: runs("echo hello", "hello\n", "-o", "TCPKeepAlive=no", "-o", "IPQoS=throughput")},
		{name: "ssh-keyscan", how: "the Ed25519 key", try: func(t *testing.T, p sshPlace) error {
			got := p.run(t, nil, "ssh-keyscan", "-t", "ed25519", "-p", fmt.Sprint(p.client.Port), "127.0.0.1")
			if !strings.Contains(got.out, strings.Fields(p.client.HostKeys[0])[1]) {
				return fmt.Errorf("got %+v", got)
			}
			return nil
		}},
	}
}

// master starts a connection without a session, for others to use by the path
// control. What it returns ends it.
func (p sshPlace) master(t *testing.T, control string) (stop func() error, err error) {
	t.Helper()
	cmd := p.command(context.WithoutCancel(t.Context()), testenv.Tool(t, "ssh"), "-F", p.Config, "-M", "-S", control, "-N", testenv.SSHHost)
	complaint := &buffer{}
	cmd.Stderr = complaint
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	there := await(func() bool {
		_, err := os.Stat(control)
		return err == nil
	})
	if !there {
		return nil, fmt.Errorf("the connection is not made: %s", complaint)
	}
	return func() error {
		got := p.ssh(t, nil, "", "-q", "-S", control, "-O", "exit")
		<-ended
		if got.code != 0 || complaint.String() != "" {
			return fmt.Errorf("the connection ends with %+v and %q", got, complaint)
		}
		return nil
	}, nil
}

func multiplexed(t *testing.T, p sshPlace) error {
	control := filepath.Join(t.TempDir(), "c")
	stop, err := p.master(t, control)
	if err != nil {
		return err
	}
	var owned sync.WaitGroup
	failures := make(chan error, 20)
	for i := range cap(failures) {
		owned.Go(func() {
			words := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", 100_000))
			failures <- p.ssh(t, strings.NewReader(words), fmt.Sprintf("cat; exit %d", i), "-S", control).ended(i, words)
		})
	}
	owned.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return errors.Join(err, stop())
}

// The connection that stays in the background has let go of ssh's output.
func persistent(t *testing.T, p sshPlace) error {
	control := filepath.Join(t.TempDir(), "c")
	options := []string{"-o", "ControlMaster=auto", "-o", "ControlPath=" + control, "-o", "ControlPersist=60"}
	who := "echo $PPID"
	first := p.ssh(t, nil, who, options...)
	second := p.ssh(t, nil, who, options...)
	ended := p.ssh(t, nil, "", "-q", "-S", control, "-O", "exit")
	if first.code != 0 || first.out == "" || first.out != second.out || ended.code != 0 {
		return fmt.Errorf("the sessions are not of one connection: %+v, %+v, %+v", first, second, ended)
	}
	return nil
}

// The client says in its log when new keys are in use.
func rekeyed(t *testing.T, p sshPlace) error {
	words := string(randomBytes(16_000_000))
	got := p.ssh(t, strings.NewReader(words), "cat", "-o", "RekeyLimit=1M", "-o", "LogLevel=DEBUG1")
	if got.code != 0 || got.out != words {
		return fmt.Errorf("exit code %d, %d bytes of %d: %.300s", got.code, len(got.out), len(words), got.err)
	}
	if n := strings.Count(got.err, "SSH2_MSG_NEWKEYS received"); n < 10 {
		return fmt.Errorf("keys were exchanged %d times", n)
	}
	return nil
}
