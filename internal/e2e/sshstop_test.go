//go:build linux

package e2e

import (
	"os"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

// The broker stops while a session runs: the session may go on until the drain
// is over, then ssh ends as it does when a server goes.
func TestSSHBrokerStops(t *testing.T) {
	s := sshTarget(testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer}))
	r := prepare(t)
	t.Cleanup(func() { r.checkSSHSecrets(s.secrets) })
	r.run(strings.Replace(r.sshYAML(s), "drain: 5s", "drain: 100ms", 1))
	p := r.sshPlace(t)
	h, err := p.hold(t, "-o", "LogLevel=INFO")
	if err != nil {
		t.Fatal(err)
	}
	r.signals <- os.Interrupt
	if code, err := h.exitCode(); err != nil || code != 255 || h.err.String() == "" {
		t.Errorf("ssh ends with %d and %q, %v; the broker's log:\n%s", code, h.err, err, r.log)
	}
}

// A session that ends by itself while the broker drains ends well.
func TestSSHSessionsEndWhileTheBrokerDrains(t *testing.T) {
	r := startSSH(t, sshTarget(testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer})))
	h, err := r.sshPlace(t).hold(t)
	if err != nil {
		t.Fatal(err)
	}
	r.signals <- os.Interrupt
	r.eventually("the broker to drain", func() bool { return r.log.has(`"msg":"stopping"`) })
	if err := h.stop(); err != nil {
		t.Errorf("%v: %s", err, h.err)
	}
}

// The target's process for the connection is killed: ssh ends at once.
func TestSSHTargetGoes(t *testing.T) {
	server := testenv.NewSSHD(t, testenv.SSH{})
	h, err := startSSH(t, sshTarget(server)).sshPlace(t).hold(t, "-o", "LogLevel=INFO")
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if code, err := h.exitCode(); err != nil || code != 255 {
		t.Errorf("ssh ends with %d and %q, %v", code, h.err, err)
	}
}

// The target asks whether the client is there; somebody answers.
func TestSSHTargetKeepalive(t *testing.T) {
	server := testenv.SSHD(t, testenv.SSH{Config: "ClientAliveInterval 1\nClientAliveCountMax 2"})
	p := startSSH(t, sshTarget(server)).sshPlace(t)
	if err := p.ssh(t, nil, "sleep 5; echo alive").prints("alive\n"); err != nil {
		t.Error(err)
	}
}
