package sshagent

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"secretless/internal/connector/sshkey"
)

const sessionBind = "session-bind@openssh.com"

// login is an SSH session with a host, as its client sees it.
type login struct {
	host key
	id   []byte
}

func newLogin(host key) login {
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return login{host, id}
}

// bind is what the client tells the agent, after change.
func (l login) bind(t *testing.T, c agent.ExtendedAgent, forwarding bool) error {
	t.Helper()
	signature, err := l.host.signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, l.id, strongest(l.host.public))
	if err != nil {
		t.Fatal(err)
	}
	return sendBind(c, l.host.public.Marshal(), l.id, ssh.Marshal(signature), forwarding)
}

func strongest(k ssh.PublicKey) string {
	if k.Type() == ssh.KeyAlgoRSA {
		return ssh.KeyAlgoRSASHA512
	}
	return k.Type()
}

func sendBind(c agent.ExtendedAgent, hostKey, id, signature []byte, forwarding bool) error {
	_, err := c.Extension(sessionBind, ssh.Marshal(struct {
		HostKey, ID, Signature []byte
		Forwarding             bool
	}{hostKey, id, signature, forwarding}))
	return err
}

// data is what the client has signed to log in as user with k.
func (l login) data(user string, k ssh.PublicKey) []byte {
	return ssh.Marshal(struct {
		ID                    []byte
		Message               byte
		User, Service, Method string
		Signed                bool
		Algorithm             string
		Key                   []byte
	}{l.id, 50, user, "ssh-connection", "publickey", true, k.Type(), k.Marshal()})
}

// hostBound is data for the method that names the host's key.
func (l login) hostBound(user string, k ssh.PublicKey, hostKey []byte) []byte {
	plain := bytes.Replace(l.data(user, k), ssh.Marshal(struct{ S string }{"publickey"}), ssh.Marshal(struct{ S string }{"publickey-hostbound-v00@openssh.com"}), 1)
	return append(plain, ssh.Marshal(struct{ B []byte }{hostKey})...)
}

func TestAllowHosts(t *testing.T) {
	good, other := newKey(t, "ecdsa"), newKey(t, "ed25519")
	k, second := newKey(t, "ed25519"), newKey(t, "ed25519")
	cert := k.certify(t, nil)
	here := newLogin(good)
	elsewhere := newLogin(other)
	again := newLogin(good)
	type step func(*testing.T, agent.ExtendedAgent) error
	bound := func(l login, forwarding bool) step {
		return func(t *testing.T, c agent.ExtendedAgent) error { return l.bind(t, c, forwarding) }
	}
	for name, c := range map[string]struct {
		before  []step
		key     ssh.PublicKey
		data    []byte
		forward bool
		refused string // empty: signed
	}{
		"login at the host":                   {[]step{bound(here, false)}, k.public, here.data("git", k.public), false, ""},
		"login bound to the host":             {[]step{bound(here, false)}, k.public, here.hostBound("git", k.public, good.public.Marshal()), false, ""},
		"login with a certificate":            {[]step{bound(here, false)}, cert, here.data("git", cert), false, ""},
		"said twice":                          {[]step{bound(here, false), bound(here, false)}, k.public, here.data("git", k.public), false, ""},
		"not bound":                           {nil, k.public, here.data("git", k.public), false, "has not told by session-bind"},
		"another host":                        {[]step{bound(elsewhere, false)}, k.public, elsewhere.data("git", k.public), false, "is not in allowHosts"},
		"another session with the host":       {[]step{bound(here, false)}, k.public, again.data("git", k.public), false, "another session"},
		"bound here, used elsewhere":          {[]step{bound(here, false)}, k.public, elsewhere.data("git", k.public), false, "another session"},
		"host-bound elsewhere":                {[]step{bound(here, false)}, k.public, here.hostBound("git", k.public, other.public.Marshal()), false, "at another host"},
		"no login, not bound":                 {nil, k.public, []byte("data"), false, "not for a login"},
		"no login":                            {[]step{bound(here, false)}, k.public, []byte("data"), false, "not for a login"},
		"login with another key":              {[]step{bound(here, false)}, k.public, here.data("git", second.public), false, "with another key"},
		"certificate's login, signed plainly": {[]step{bound(here, false)}, k.public, here.data("git", cert), false, "with another key"},
		"bound to both":                       {[]step{bound(here, false), bound(elsewhere, false)}, k.public, here.data("git", k.public), false, "bound to another login already"},
		"forwarded":                           {[]step{bound(here, true)}, k.public, here.data("git", k.public), false, "does not allow; see allowForwarding"},
		"forwarded, then bound":               {[]step{bound(here, true), bound(again, false)}, k.public, again.data("git", k.public), false, "does not allow; see allowForwarding"},
		"forwarding allowed":                  {[]step{bound(here, true), bound(again, false)}, k.public, again.data("git", k.public), true, ""},
		"forwarding allowed, end not told":    {[]step{bound(here, true)}, k.public, again.data("git", k.public), true, "has not told"},
		"forwarding allowed, on the way":      {[]step{bound(here, true)}, k.public, here.data("git", k.public), true, "has not told"},
		"forwarded through another host":      {[]step{bound(elsewhere, true), bound(here, false)}, k.public, here.data("git", k.public), true, "is not in allowHosts"},
		"forwarded behind a login":            {[]step{bound(here, false), bound(again, true)}, k.public, here.data("git", k.public), true, "bound to another login already"},
		"same session in two ways":            {[]step{bound(here, true), bound(here, false)}, k.public, here.data("git", k.public), true, "in another way"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{AllowHosts: []string{authorized(good.public)}, AllowForwarding: c.forward}, map[string]string{"privateKey": k.text, "certificate": authorized(cert)})
			client := f.client()
			for _, do := range c.before {
				_ = do(t, client)
			}
			signature, err := client.Sign(c.key, c.data)
			switch {
			case c.refused == "" && err != nil:
				t.Fatalf("%v; log:\n%s", err, f.log)
			case c.refused == "":
				want := `: login as "git" on host ` + sshkey.Fingerprint(good.public)
				if k.public.Verify(c.data, signature) != nil || len(f.used()) != 1 || !strings.HasSuffix(f.used()[0], want) {
					t.Errorf("audit has %q, want %q", f.used(), want)
				}
			case err == nil:
				t.Error("signed")
			case !strings.Contains(f.log.String(), `purpose="`+purposeOf(c.data, nil).String()[:8]):
				t.Errorf("log lacks the purpose:\n%s", f.log)
			case !strings.Contains(f.log.String(), c.refused):
				t.Errorf("log lacks %q:\n%s", c.refused, f.log)
			case len(f.used()) > 0:
				t.Errorf("audit has %q", f.used())
			}
		})
	}
}

func TestShowsKeysWhereTheyCanBeUsed(t *testing.T) {
	good, other, k := newKey(t, "ed25519"), newKey(t, "ed25519"), newKey(t, "ed25519")
	f := newFront(t, Config{AllowHosts: []string{ssh.FingerprintSHA256(good.public)}}, map[string]string{"privateKey": k.text})
	for name, c := range map[string]struct {
		host *key
		want int
	}{"not bound": {nil, 1}, "allowed": {&good, 1}, "not allowed": {&other, 0}} {
		client := f.client()
		if c.host != nil {
			if err := newLogin(*c.host).bind(t, client, false); err != nil {
				t.Fatal(name, err)
			}
		}
		if got := list(t, client); len(got) != c.want {
			t.Errorf("%s: listed %v", name, got)
		}
	}
}

func TestBindingsMustBeSignedByTheHost(t *testing.T) {
	host, k := newKey(t, "ed25519"), newKey(t, "ed25519")
	rsa := newKey(t, "rsa")
	l := newLogin(host)
	signed := func(host key, data []byte, algorithm string) []byte {
		signature, err := host.signer.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		return ssh.Marshal(signature)
	}
	good := signed(host, l.id, ssh.KeyAlgoED25519)
	for name, c := range map[string]struct {
		hostKey, id, signature []byte
		want                   string
	}{
		"other data":       {host.public.Marshal(), l.id, signed(host, []byte("x"), ssh.KeyAlgoED25519), "is wrong"},
		"other host":       {k.public.Marshal(), l.id, good, "is wrong"},
		"other type":       {rsa.public.Marshal(), l.id, good, "is wrong"},
		"SHA-1":            {rsa.public.Marshal(), l.id, signed(rsa, l.id, ssh.KeyAlgoRSA), "signed with SHA-1"},
		"no signature":     {host.public.Marshal(), l.id, nil, "cannot be read"},
		"no host key":      {nil, l.id, good, "host key cannot be read"},
		"no session":       {host.public.Marshal(), nil, signed(host, nil, ssh.KeyAlgoED25519), "id has 0 bytes"},
		"a session's book": {host.public.Marshal(), make([]byte, 1000), signed(host, make([]byte, 1000), ssh.KeyAlgoED25519), "id has 1000 bytes"},
	} {
		f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
		client := f.client()
		if err := sendBind(client, c.hostKey, c.id, c.signature, false); err == nil {
			t.Errorf("%s: bound", name)
		}
		if !strings.Contains(f.log.String(), c.want) {
			t.Errorf("%s: log lacks %q:\n%s", name, c.want, f.log)
		}
		if err := l.bind(t, client, false); err == nil {
			t.Errorf("%s: a spoiled connection was bound anew", name)
		}
		if _, err := client.Sign(k.public, l.data("git", k.public)); err == nil {
			t.Errorf("%s: signed on a spoiled connection", name)
		}
		if keys := list(t, client); len(keys) != 0 {
			t.Errorf("%s: listed %v", name, keys)
		}
	}
}

func TestHostsWithCertificatesCountByTheirKey(t *testing.T) {
	host, k := newKey(t, "ecdsa"), newKey(t, "ed25519")
	cert := host.certify(t, func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
	f := newFront(t, Config{AllowHosts: []string{authorized(host.public)}}, map[string]string{"privateKey": k.text})
	l, c := newLogin(host), f.client()
	signature, err := host.signer.Sign(rand.Reader, l.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := sendBind(c, cert.Marshal(), l.id, ssh.Marshal(signature), false); err != nil {
		t.Fatal(err, f.log)
	}
	if _, err := c.Sign(k.public, l.hostBound("git", k.public, cert.Marshal())); err != nil {
		t.Error(err, f.log)
	}
	if _, err := c.Sign(k.public, l.hostBound("git", k.public, host.public.Marshal())); err == nil {
		t.Error("signed for the key without its certificate, which was not bound")
	}
	if used := f.used(); len(used) != 1 || !strings.HasSuffix(used[0], " on host "+ssh.FingerprintSHA256(host.public)) {
		t.Errorf("audit has %q", used)
	}
}

func TestForwardingEndsAfterSixteenHosts(t *testing.T) {
	host := newKey(t, "ed25519")
	client := newFront(t, Config{AllowForwarding: true}, map[string]string{"privateKey": host.text}).client()
	for n := range maxBindings {
		if err := newLogin(host).bind(t, client, true); err != nil {
			t.Fatalf("host %d: %v", n, err)
		}
	}
	if err := newLogin(host).bind(t, client, true); err == nil {
		t.Error("one more was taken")
	}
}

func TestAuditSaysWhatWasSigned(t *testing.T) {
	host, k := newKey(t, "rsa"), newKey(t, "ed25519")
	l := newLogin(host)
	sshsig := append([]byte("SSHSIG"), ssh.Marshal(struct{ A, B, C, D string }{"git", "", "sha512", "hash"})...)
	for name, c := range map[string]struct {
		data []byte
		bind bool
		want string
	}{
		"login, bound":     {l.data("git", k.public), true, `login as "git" on host ` + sshkey.Fingerprint(host.public)},
		"login, not bound": {l.data("git", k.public), false, `login as "git" on an unknown host`},
		"other session":    {newLogin(host).data("git", k.public), true, `login as "git" on an unknown host`},
		"file":             {sshsig, false, `SSHSIG signature in namespace "git"`},
		"strange user":     {l.data("a\n\"b\u202e", k.public), false, `login as "a\n\"b\u202e" on an unknown host`},
		"long user":        {l.data(strings.Repeat("u", 1000), k.public), false, `login as "` + strings.Repeat("u", maxShown) + `\u2026" on an unknown host`},
		"other":            {[]byte("x"), true, "signature of other data"},
	} {
		f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
		client := f.client()
		if c.bind {
			if err := l.bind(t, client, false); err != nil {
				t.Fatal(name, err)
			}
		}
		if _, err := client.Sign(k.public, c.data); err != nil {
			t.Fatal(name, err)
		}
		want := ssh.FingerprintSHA256(k.public) + ` "deploy": ` + c.want
		if used := f.used(); len(used) != 1 || used[0] != want {
			t.Errorf("%s: audit has %q, want %q", name, used, want)
		}
	}
}
