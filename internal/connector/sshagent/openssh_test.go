package sshagent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/testenv"
)

// tool runs one of OpenSSH's programs with the agent.
func (f *front) tool(name string, args ...string) (string, error) {
	f.t.Helper()
	f.accept()
	return testenv.Command(f.t, []string{"SSH_AUTH_SOCK=" + f.path}, testenv.Tool(f.t, name), args...)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSSHAddLists(t *testing.T) {
	rsa, ec, ed := newKey(t, "rsa"), newKey(t, "ecdsa521"), newKey(t, "ed25519")
	cert := ed.certify(t, nil)
	f := newFront(t, Config{}, map[string]string{
		"rsa": rsa.text, "comment": "by rsa", "privateKey2": ec.text, "comment2": "the second", "privateKey3": ed.text, "certificate3": authorized(cert),
	})
	short, err := f.tool("ssh-add", "-l")
	want := "2048 " + ssh.FingerprintSHA256(rsa.public) + " by rsa (RSA)\n" +
		"521 " + ssh.FingerprintSHA256(ec.public) + " the second (ECDSA)\n" +
		"256 " + ssh.FingerprintSHA256(ed.public) + " deploy (ED25519-CERT)\n" +
		"256 " + ssh.FingerprintSHA256(ed.public) + " deploy (ED25519)\n"
	if err != nil || short != want {
		t.Errorf("ssh-add -l: %v\n%s\nwant\n%s", err, short, want)
	}
	long, err := f.tool("ssh-add", "-L")
	want = ""
	for _, k := range []struct {
		key     ssh.PublicKey
		comment string
	}{{rsa.public, "by rsa"}, {ec.public, "the second"}, {cert, "deploy"}, {ed.public, "deploy"}} {
		want += strings.TrimSpace(authorized(k.key)) + " " + k.comment + "\n"
	}
	if err != nil || long != want {
		t.Errorf("ssh-add -L: %v\n%s\nwant\n%s", err, long, want)
	}
}

func TestSSHAddChangesNothing(t *testing.T) {
	k := newKey(t, "ed25519")
	f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
	other := write(t, "id", newKey(t, "ed25519").text)
	public := write(t, "id.pub", authorized(k.public))
	for _, args := range [][]string{{other}, {"-t", "60", other}, {"-c", other}, {"-D"}, {"-d", public}} {
		if out, err := f.tool("ssh-add", args...); err == nil || !strings.Contains(out, "refused") && !strings.Contains(out, "Failed") {
			t.Errorf("ssh-add %v: %v\n%s", args, err, out)
		}
	}
	if out, err := f.tool("ssh-add", "-l"); err != nil || strings.Count(out, "\n") != 1 || !strings.Contains(out, ssh.FingerprintSHA256(k.public)) {
		t.Errorf("ssh-add -l: %v\n%s", err, out)
	}
	if out, err := f.tool("ssh-add", "-T", public); err != nil {
		t.Errorf("ssh-add -T: %v\n%s", err, out)
	}
}

func TestSSHKeygenSigns(t *testing.T) {
	for _, kind := range []string{"ed25519", "rsa", "ecdsa", "ecdsa384", "ecdsa521"} {
		k := newKey(t, kind)
		f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
		file := write(t, "release", "contents\n")
		public := write(t, "id.pub", authorized(k.public))
		if out, err := f.tool("ssh-keygen", "-Y", "sign", "-n", "file", "-f", public, file); err != nil {
			t.Fatalf("%s: %v\n%s\n%s", kind, err, out, f.log)
		}
		signers := write(t, "signers", "me@example.com "+authorized(k.public))
		verify := testenv.Tool(t, "ssh-keygen") + " -Y verify -n file -I me@example.com -f " + signers + " -s " + file + ".sig <" + file
		if out, err := testenv.Command(t, nil, "/bin/sh", "-c", verify); err != nil || !strings.Contains(out, "Good") {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
		want := ssh.FingerprintSHA256(k.public) + ` "deploy": SSHSIG signature in namespace "file"`
		if used := f.used(); len(used) != 1 || used[0] != want {
			t.Errorf("%s: audit has %q", kind, used)
		}
	}
}

func TestSSHKeygenIsRefusedWhereHostsAreListed(t *testing.T) {
	k := newKey(t, "ed25519")
	f := newFront(t, Config{AllowHosts: []string{authorized(k.public)}}, map[string]string{"privateKey": k.text})
	if out, err := f.tool("ssh-keygen", "-Y", "sign", "-n", "file", "-f", write(t, "id.pub", authorized(k.public)), write(t, "release", "contents\n")); err == nil {
		t.Errorf("signed:\n%s", out)
	}
}

// login runs ssh to the server with the keys of the agent alone.
func (f *front) login(s *testenv.SSHServer, options string, command ...string) (string, error) {
	f.t.Helper()
	way := testenv.SSHClient{Port: s.Port, User: s.User, HostKeys: s.HostKeys(), Options: "IdentityAgent " + f.path + "\nIdentitiesOnly no\n" + options}.Way(f.t)
	f.accept()
	return testenv.Command(f.t, nil, testenv.Tool(f.t, "ssh"), append([]string{"-F", way.Config, testenv.SSHHost}, command...)...)
}

func TestSSHLogsIn(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{})
	for name, set := range map[string]map[string]string{
		"ed25519":     {"privateKey": s.Keys.Ed25519.Private},
		"rsa":         {"rsa": s.Keys.RSA.Private},
		"ecdsa256":    {"ecdsa": s.Keys.ECDSA256.Private},
		"ecdsa384":    {"ecdsa": s.Keys.ECDSA384.Private},
		"ecdsa521":    {"privateKey": s.Keys.ECDSA521.Private},
		"encrypted":   {"privateKey": s.Keys.Locked.Private, "passphrase": s.Keys.Passphrase},
		"certificate": {"privateKey": s.Keys.Certified.Private, "certificate": s.Keys.Certificate},
		"the second":  {"privateKey": s.Keys.Unknown.Private, "privateKey2": s.Keys.Ed25519.Private},
	} {
		f := newFront(t, Config{}, set)
		out, err := f.login(s, "", "echo", "hello")
		if err != nil || out != "hello\n" {
			t.Fatalf("%s: %v\n%s\n%s", name, err, out, f.log)
		}
		used := f.used()
		if len(used) == 0 || !strings.Contains(used[len(used)-1], `: login as "`+s.User+`" on host SHA256:`) {
			t.Errorf("%s: audit has %q", name, used)
		}
	}
	unknown := newFront(t, Config{}, map[string]string{"privateKey": s.Keys.Unknown.Private})
	if out, err := unknown.login(s, "", "true"); err == nil {
		t.Errorf("logged in with an unknown key:\n%s", out)
	}
}

func TestSSHTellsTheHost(t *testing.T) {
	allowed, other := testenv.SSHD(t, testenv.SSH{}), testenv.NewSSHD(t, testenv.SSH{})
	f := newFront(t, Config{AllowHosts: allowed.HostKeys()}, map[string]string{"privateKey": allowed.Keys.Ed25519.Private})
	for _, algorithms := range []string{"ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"} {
		if out, err := f.login(allowed, "HostKeyAlgorithms "+algorithms+"\n", "echo", "hello"); err != nil || out != "hello\n" {
			t.Errorf("%s: %v\n%s\n%s", algorithms, err, out, f.log)
		}
	}
	used := len(f.used())
	if out, err := f.login(other, "", "true"); err == nil {
		t.Errorf("logged in to a host that is not allowed:\n%s", out)
	}
	if len(f.used()) != used || !strings.Contains(f.log.String(), "is not in allowHosts") {
		t.Errorf("audit has %q, log:\n%s", f.used()[used:], f.log)
	}
}

func TestSSHForwardsTheAgentWhereAllowed(t *testing.T) {
	s := testenv.SSHD(t, testenv.SSH{Config: "AllowAgentForwarding yes\n"})
	for _, allow := range []bool{false, true} {
		f := newFront(t, Config{AllowForwarding: allow}, map[string]string{"privateKey": s.Keys.Ed25519.Private})
		out, _ := f.login(s, "ForwardAgent yes\n", testenv.Tool(t, "ssh-add"), "-l")
		if strings.Contains(out, "SHA256:") != allow {
			t.Errorf("allowed %v: ssh-add on the host shows\n%s\n%s", allow, out, f.log)
		}
	}
}

// TestSSHOnAHostBehind logs in to one host and from there, with the agent
// forwarded, to another.
func TestSSHOnAHostBehind(t *testing.T) {
	first := testenv.SSHD(t, testenv.SSH{Config: "AllowAgentForwarding yes\n"})
	second := testenv.NewSSHD(t, testenv.SSH{})
	behind := testenv.SSHClient{
		Port: second.Port, User: second.User, HostKeys: second.HostKeys(),
		Options: "IdentityAgent SSH_AUTH_SOCK\nIdentitiesOnly no\nHostKeyAlgorithms ssh-ed25519\n",
	}.Way(t)
	for name, c := range map[string]struct {
		config Config
		want   string // of the log; empty: logged in
	}{
		"both listed":        {Config{AllowForwarding: true, AllowHosts: append(first.HostKeys(), second.HostKeys()...)}, ""},
		"every host":         {Config{AllowForwarding: true}, ""},
		"second not listed":  {Config{AllowForwarding: true, AllowHosts: first.HostKeys()}, "is not in allowHosts"},
		"without forwarding": {Config{AllowHosts: append(first.HostKeys(), second.HostKeys()...)}, "see allowForwarding"},
	} {
		f := newFront(t, c.config, map[string]string{"privateKey": first.Keys.Ed25519.Private})
		out, err := f.login(first, "ForwardAgent yes\n", testenv.Tool(t, "ssh"), "-F", behind.Config, testenv.SSHHost, "echo", "hello")
		if (err == nil && out == "hello\n") != (c.want == "") || !strings.Contains(f.log.String(), c.want) {
			t.Errorf("%s: %v\n%s\nlog:\n%s", name, err, out, f.log)
		}
		if used := f.used(); c.want == "" && (len(used) != 2 || !strings.Contains(used[1], "on host SHA256:")) {
			t.Errorf("%s: audit has %q", name, used)
		}
	}
}
