//go:build linux

package e2e

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"

	"secretless/internal/testenv"
)

// Every way to log in that the connector knows, with the target that has it.
func TestSSHLogins(t *testing.T) {
	server := testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer})
	k := server.Keys
	for name, secrets := range map[string]map[string]string{
		"ed25519":     {"privateKey": k.Ed25519.Private},
		"rsa":         {"privateKey": k.RSA.Private},
		"ecdsa 256":   {"privateKey": k.ECDSA256.Private},
		"ecdsa 384":   {"privateKey": k.ECDSA384.Private},
		"ecdsa 521":   {"privateKey": k.ECDSA521.Private},
		"passphrase":  {"privateKey": k.Locked.Private, "passphrase": k.Passphrase},
		"certificate": {"privateKey": k.Certified.Private, "certificate": k.Certificate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshTarget(server)
			s.secrets = secrets
			if err := startSSH(t, s).sshPlace(t).ssh(t, nil, "echo hello").prints("hello\n"); err != nil {
				t.Error(err)
			}
		})
	}
	for _, method := range []string{"password", "keyboard-interactive"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			target := testenv.SSHPasswordServer(t, method)
			r := startSSH(t, sshService{
				port: target.Port, user: target.User.Name, hostKey: target.HostKey,
				secrets: map[string]string{"password": target.User.Password},
			})
			if err := r.sshPlace(t).ssh(t, nil, "echo hello").prints("ran: echo hello\n"); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("forced command", func(t *testing.T) {
		t.Parallel()
		s := sshTarget(server)
		s.secrets = map[string]string{"privateKey": k.Forced.Private}
		if err := startSSH(t, s).sshPlace(t).ssh(t, nil, "echo hello").prints("forced: echo hello\n"); err != nil {
			t.Error(err)
		}
	})
	t.Run("the client's user name", func(t *testing.T) {
		t.Parallel()
		s := sshTarget(server)
		s.user = ""
		p := startSSH(t, s).sshPlace(t)
		if err := p.ssh(t, nil, "id -un", "-l", server.User).prints(server.User + "\n"); err != nil {
			t.Error(err)
		}
		if got := p.ssh(t, nil, "id -un"); got.code != 255 || got.out != "" {
			t.Errorf("somebody is let in: %+v", got)
		}
	})
}

// What known_hosts may hold for the target.
func TestSSHHostKeys(t *testing.T) {
	server := testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer})
	keys := server.HostKeys()
	address := knownhosts.Normalize(server.TCP())
	for name, text := range map[string]string{
		"authorized_keys text": keys[0],
		"the RSA key alone":    keys[2],
		"known_hosts":          address + " " + keys[1],
		"hashed known_hosts":   knownhosts.HashHostname(address) + " " + keys[0],
		"accept-any":           "accept-any",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshTarget(server)
			s.hostKey = text
			if err := startSSH(t, s).sshPlace(t).ssh(t, nil, "echo hello").prints("hello\n"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A user sees why there is no connection, in ssh's own output, and nothing has
// run on the target.
func TestSSHRefusals(t *testing.T) {
	server := testenv.SSHD(t, testenv.SSH{Config: sshFeatureServer})
	other, err := freshHostKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*testing.T, *sshService)
		want   []string
	}{
		"another host key": {func(_ *testing.T, s *sshService) { s.hostKey = other }, []string{"host key", "127.0.0.1"}},
		"no host key":      {func(_ *testing.T, s *sshService) { s.hostKey = "" }, []string{"hostKey"}},
		"known_hosts of somewhere else": {
			func(_ *testing.T, s *sshService) { s.hostKey = "elsewhere.example " + server.HostKeys()[0] }, []string{"127.0.0.1"},
		},
		"a key that the target does not take": {
			func(_ *testing.T, s *sshService) { s.secrets["privateKey"] = server.Keys.Unknown.Private }, []string{"127.0.0.1", server.User},
		},
		"an expired certificate": {func(_ *testing.T, s *sshService) {
			s.secrets = map[string]string{"privateKey": server.Keys.Certified.Private, "certificate": server.Keys.Expired}
		}, []string{"expired"}},
		"a wrong passphrase": {func(_ *testing.T, s *sshService) {
			s.secrets = map[string]string{"privateKey": server.Keys.Locked.Private, "passphrase": "not this one"}
		}, []string{"passphrase"}},
		"no key at all": {func(_ *testing.T, s *sshService) { s.secrets["privateKey"] = "nothing" }, []string{"privateKey"}},
		"a wrong password": {func(t *testing.T, s *sshService) {
			target := testenv.SSHPasswordServer(t, "password")
			*s = sshService{
				port: target.Port, user: target.User.Name, hostKey: target.HostKey,
				secrets: map[string]string{"password": "not the one that it takes"},
			}
		}, []string{"127.0.0.1", "keeper"}},
		"nobody there": {func(t *testing.T, s *sshService) { s.port = testenv.Refusing(t).Port }, []string{"127.0.0.1", "connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sshTarget(server)
			c.change(t, &s)
			got := startSSH(t, s).sshPlace(t).ssh(t, nil, "echo hello", "-o", "LogLevel=INFO")
			if got.code != 255 || got.out != "" {
				t.Errorf("got %+v", got)
			}
			for _, want := range c.want {
				if !strings.Contains(got.err, want) {
					t.Errorf("the user is told %q, which lacks %q", got.err, want)
				}
			}
			for _, secret := range s.secrets {
				if strings.Contains(got.err, secret) && len(secret) > len("nothing") {
					t.Error("the user is shown a secret")
				}
			}
		})
	}
}

// A host that is set up anew is refused until somebody says that it may be.
func TestSSHHostKeyChanges(t *testing.T) {
	server := testenv.NewSSHD(t, testenv.SSH{})
	p := startSSH(t, sshTarget(server)).sshPlace(t)
	if err := p.ssh(t, nil, "echo hello").prints("hello\n"); err != nil {
		t.Fatal(err)
	}
	server.ChangeHostKeys(t)
	got := p.ssh(t, nil, "echo hello", "-o", "LogLevel=INFO")
	if err := got.fails("host key"); err != nil || got.out != "" {
		t.Errorf("%v: %+v", err, got)
	}
	if log := server.Log(); strings.Contains(log, "Accepted") {
		t.Errorf("the broker logged in: %s", log)
	}
}
