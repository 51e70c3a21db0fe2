//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const oneHostKey = "clients see the broker's host key, which is one Ed25519 key"

func sshIdentityFeatures() []sshFeature {
	hello := func(options ...string) func(*testing.T, sshPlace) error {
		return runs("echo hello", "hello\n", options...)
	}
	var all []sshFeature
	for _, cipher := range []string{"chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes128-ctr"} {
		all = append(all, sshFeature{name: "Cipher " + cipher, how: "`ssh -c`", try: hello("-c", cipher)})
	}
	for _, mac := range []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256"} {
		all = append(all, sshFeature{name: "MAC " + mac, how: "`ssh -c aes128-ctr -m`", try: hello("-c", "aes128-ctr", "-m", mac)})
	}
	all = append(all, sshFeature{
		name: "MAC umac-128-etm@openssh.com", how: "`ssh -c aes128-ctr -m`", try: hello("-c", "aes128-ctr", "-m", "umac-128-etm@openssh.com"),
		differs: "Go's library has no UMAC",
	})
	for _, kex := range []string{"curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512"} {
		all = append(all, sshFeature{name: "Key exchange " + kex, how: "`ssh -o KexAlgorithms`", try: hello("-o", "KexAlgorithms="+kex)})
	}
	return append(all,
		sshFeature{
			name: "Key exchange sntrup761x25519-sha512@openssh.com", how: "`ssh -o KexAlgorithms`",
			try:     hello("-o", "KexAlgorithms=sntrup761x25519-sha512@openssh.com"),
			differs: "Go's library has mlkem768x25519-sha256 instead, which OpenSSH knows from 9.9 on",
		},
		sshFeature{name: "No key exchange with SHA-1", how: "`KexAlgorithms diffie-hellman-group14-sha1` is refused", try: refuses("-o", "KexAlgorithms=diffie-hellman-group14-sha1")},
		sshFeature{name: "No cipher in CBC mode", how: "`ssh -c aes128-cbc` is refused", try: refuses("-c", "aes128-cbc")},
		sshFeature{name: "Host key Ed25519", how: "`HostKeyAlgorithms ssh-ed25519`", try: hello("-o", "HostKeyAlgorithms=ssh-ed25519")},
		sshFeature{
			name: "Host key RSA", how: "`HostKeyAlgorithms rsa-sha2-512`",
			try: hello("-o", "HostKeyAlgorithms=rsa-sha2-512"), differs: oneHostKey,
		},
		sshFeature{name: "A wrong host key is refused", how: "another one in known_hosts", try: wrongHostKey},
		sshFeature{name: "Further host keys are learned", how: "UpdateHostKeys: hostkeys-00@openssh.com", try: learnsHostKeys, differs: oneHostKey},
		sshFeature{
			name: "Login without a key", how: "`ssh -o IdentityFile=none`", try: hello("-o", "PubkeyAuthentication=no"),
			differs: "what the broker is for",
		},
	)
}

func refuses(options ...string) func(*testing.T, sshPlace) error {
	return func(t *testing.T, p sshPlace) error {
		return p.ssh(t, nil, "echo hello", append(options, "-o", "LogLevel=INFO")...).fails("no matching")
	}
}

func wrongHostKey(t *testing.T, p sshPlace) error {
	other, err := freshHostKey()
	if err != nil {
		return err
	}
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte("target "+other), 0o600); err != nil {
		return err
	}
	got := p.ssh(t, nil, "echo hello", "-o", "UserKnownHostsFile="+file)
	if got.out != "" {
		return errors.New("the command ran")
	}
	return got.fails("REMOTE HOST IDENTIFICATION HAS CHANGED")
}

// The server offers its keys before it answers anything else, so that whoever
// is told that the session runs knows of them.
func learnsHostKeys(t *testing.T, p sshPlace) error {
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte("target "+p.client.HostKeys[0]), 0o600); err != nil {
		return err
	}
	h, err := p.hold(t, "-o", "UserKnownHostsFile="+file, "-o", "UpdateHostKeys=yes", "-o", "LogLevel=DEBUG1")
	if err != nil {
		return err
	}
	if !strings.Contains(h.err.String(), "hostkeys-00@openssh.com") {
		return errors.New("no host keys are offered")
	}
	if !await(func() bool { known, _ := os.ReadFile(file); return strings.Count(string(known), "\n") == 3 }) {
		return fmt.Errorf("the host keys are not learned: %s", h.err)
	}
	return h.stop()
}
