//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/testenv"
)

// The audit has the host key that an SSH target has shown, and that it was
// checked, before the client is let in.
func TestAuditHasTheHostKey(t *testing.T) {
	server := testenv.SSHD(t, testenv.SSH{})
	r := startSSH(t, sshTarget(server))
	client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &ssh.ClientConfig{User: "me", HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var fingerprints []string
	for _, line := range server.HostKeys() {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		fingerprints = append(fingerprints, ssh.FingerprintSHA256(key))
	}
	found := 0
	for _, l := range audittest.File(t, filepath.Join(r.dir, "audit.jsonl")) {
		if l.Event != audit.Connected {
			continue
		}
		found++
		target := l.All["target"].(map[string]any)
		if key, _ := target["host_key"].(string); !slices.Contains(fingerprints, key) || target["verified"] != true || target["remote"] != fmt.Sprintf("127.0.0.1:%d", server.Port) {
			t.Errorf("%v; the server's keys are %v", target, fingerprints)
		}
	}
	if found != 1 {
		t.Errorf("%d connected events", found)
	}
}
