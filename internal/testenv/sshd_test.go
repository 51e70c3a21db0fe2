//go:build unix

package testenv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

func TestSSHKeys(t *testing.T) {
	ssh := testenv.Tool(t, "ssh")
	s := testenv.SSHD(t, testenv.SSH{})
	k := s.Keys
	certificate := "CertificateFile " + testenv.WriteFile(t, "cert.pub", k.Certificate)
	expired := "CertificateFile " + testenv.WriteFile(t, "cert.pub", k.Expired)
	for name, c := range map[string]struct {
		key     testenv.SSHKey
		options string
		want    string
	}{
		"ed25519":   {k.Ed25519, "", "hello\n"},
		"rsa":       {k.RSA, "", "hello\n"},
		"ecdsa 256": {k.ECDSA256, "", "hello\n"},
		"ecdsa 384": {k.ECDSA384, "", "hello\n"},
		"ecdsa 521": {k.ECDSA521, "", "hello\n"},
		"forced":    {k.Forced, "", "forced: echo hello\n"},
		"certified": {k.Certified, certificate, "hello\n"},
		"expired":   {k.Certified, expired, "Permission denied"},
		"no cert":   {k.Certified, "", "Permission denied"},
		"unknown":   {k.Unknown, "", "Permission denied"},
		"locked":    {k.Locked, "", "Permission denied"}, // nobody there to be asked
		"none":      {testenv.SSHKey{}, "", "Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.Client(c.key)
			client.Options = c.options
			out, _ := testenv.Command(t, nil, ssh, "-F", client.Way(t).Config, testenv.SSHHost, "echo hello")
			if !strings.Contains(out, c.want) {
				t.Errorf("got %q, want %q", out, c.want)
			}
		})
	}
}

func TestSSHPrograms(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{})
	config := s.Client(s.Keys.Ed25519).Way(t).Config
	in := testenv.WriteFile(t, "in", "some text")
	dir := t.TempDir()
	repository := filepath.Join(dir, "repository")
	batch := testenv.WriteFile(t, "batch", "put "+in+" "+filepath.Join(dir, "sftp")+"\n")
	for _, c := range [][]string{
		{"scp", "-F", config, in, testenv.SSHHost + ":" + filepath.Join(dir, "scp")},
		{"scp", "-O", "-F", config, in, testenv.SSHHost + ":" + filepath.Join(dir, "rcp")},
		{"sftp", "-F", config, "-b", batch, testenv.SSHHost},
		{"rsync", "-e", "ssh -F " + config, in, testenv.SSHHost + ":" + filepath.Join(dir, "rsync")},
		{"git", "init", "-q", "--bare", repository},
		{"git", "-c", "core.sshCommand=ssh -F " + config, "ls-remote", testenv.SSHHost + ":" + repository},
	} {
		if out, err := testenv.Command(t, nil, testenv.Tool(t, c[0]), c[1:]...); err != nil {
			t.Errorf("%v: %v: %s", c, err, out)
		}
	}
	for _, name := range []string{"scp", "rcp", "sftp", "rsync"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); string(text) != "some text" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestChangedSSHHostKey(t *testing.T) {
	s := testenv.NewSSHD(t, testenv.SSH{})
	config := s.Client(s.Keys.Ed25519).Way(t).Config
	run := func() (string, error) {
		return testenv.Command(t, nil, testenv.Tool(t, "ssh"), "-F", config, testenv.SSHHost, "echo hello")
	}
	if out, err := run(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.ChangeHostKeys(t)
	if out, err := run(); err == nil || !strings.Contains(out, "IDENTIFICATION HAS CHANGED") {
		t.Errorf("%v: %s", err, out)
	}
	s.Kill()
	if out, err := run(); err == nil || !strings.Contains(out, "Connection refused") {
		t.Errorf("%v: %s", err, out)
	}
}

// OpenSSH's client types no password by itself: a program does it for it.
func TestSSHPassword(t *testing.T) {
	for _, method := range []string{"password", "keyboard-interactive"} {
		s := testenv.SSHPasswordServer(t, method)
		client := testenv.SSHClient{Port: s.Port, User: s.User.Name, HostKeys: []string{s.HostKey}, Options: "BatchMode no"}
		config := client.Way(t).Config
		for password, want := range map[string]string{s.User.Password: "ran: echo hello\n", "wrong": "Permission denied"} {
			ask := testenv.WriteFile(t, "ask", "#!/bin/sh\necho "+password+"\n")
			if err := os.Chmod(ask, 0o700); err != nil {
				t.Fatal(err)
			}
			vars := []string{"SSH_ASKPASS=" + ask, "SSH_ASKPASS_REQUIRE=force"}
			out, _ := testenv.Command(t, vars, testenv.Tool(t, "ssh"), "-F", config, testenv.SSHHost, "echo hello")
			if !strings.Contains(out, want) {
				t.Errorf("%s: got %q, want %q", method, out, want)
			}
		}
		if s.Attempts() < 2 {
			t.Errorf("%s: %d attempts", method, s.Attempts())
		}
	}
}
