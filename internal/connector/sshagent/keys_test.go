package sshagent

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"secretless/internal/connector"
)

func list(t *testing.T, c agent.Agent) []*agent.Key {
	t.Helper()
	keys, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// wantSigned has c sign with k and verifies that with the plain key.
func wantSigned(t *testing.T, c agent.ExtendedAgent, k ssh.PublicKey, flags agent.SignatureFlags, format string) {
	t.Helper()
	signature, err := c.SignWithFlags(k, []byte("data"), flags)
	if err != nil {
		t.Fatalf("%s with flags %d: %v", k.Type(), flags, err)
	}
	if err := k.Verify([]byte("data"), signature); err != nil || signature.Format != format {
		t.Errorf("%s with flags %d: signature is %s: %v", k.Type(), flags, signature.Format, err)
	}
}

func TestSignsWithEachKindOfKey(t *testing.T) {
	kinds := map[string]string{
		"ed25519": ssh.KeyAlgoED25519, "ecdsa": ssh.KeyAlgoECDSA256, "ecdsa384": ssh.KeyAlgoECDSA384,
		"ecdsa521": ssh.KeyAlgoECDSA521, "rsa": ssh.KeyAlgoRSASHA512,
	}
	for kind, format := range kinds {
		k := newKey(t, kind)
		f := newFront(t, Config{}, map[string]string{"privateKey": k.text, "comment": "deploy key"})
		c := f.client()
		keys := list(t, c)
		if len(keys) != 1 || !bytes.Equal(keys[0].Blob, k.public.Marshal()) || keys[0].Comment != "deploy key" {
			t.Fatalf("%s: listed %v", kind, keys)
		}
		flags := agent.SignatureFlags(0)
		if kind == "rsa" {
			wantSigned(t, c, k.public, agent.SignatureFlagRsaSha256, ssh.KeyAlgoRSASHA256)
			flags = agent.SignatureFlagRsaSha512
		}
		wantSigned(t, c, k.public, flags, format)
		want := ssh.FingerprintSHA256(k.public) + ` "deploy key": signature of other data`
		if used := f.used(); len(used) == 0 || used[0] != want {
			t.Errorf("%s: audit has %q", kind, used)
		}
	}
}

func TestRefusesToSign(t *testing.T) {
	rsa, other := newKey(t, "rsa"), newKey(t, "ed25519")
	f := newFront(t, Config{}, map[string]string{"privateKey": rsa.text})
	c := f.client()
	for name, try := range map[string]func() (*ssh.Signature, error){
		"with SHA-1":         func() (*ssh.Signature, error) { return c.SignWithFlags(rsa.public, []byte("data"), 0) },
		"with unknown flags": func() (*ssh.Signature, error) { return c.SignWithFlags(rsa.public, []byte("data"), 12) },
		"with another key":   func() (*ssh.Signature, error) { return c.Sign(other.public, []byte("data")) },
	} {
		if signature, err := try(); err == nil {
			t.Errorf("%s: signed as %s", name, signature.Format)
		}
	}
	if used := f.used(); len(used) > 0 {
		t.Errorf("audit has %q", used)
	}
	for _, want := range []string{"ssh-rsa, which is SHA-1", "flags 0xc are not supported", "there is no such key"} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, f.log)
		}
	}
	wantSigned(t, c, rsa.public, agent.SignatureFlagRsaSha256, ssh.KeyAlgoRSASHA256) // the connection goes on
}

func TestClientsCannotChangeTheAgent(t *testing.T) {
	k := newKey(t, "ed25519")
	f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
	c := f.client()
	private, err := generate("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"add":             c.Add(agent.AddedKey{PrivateKey: private}),
		"add constrained": c.Add(agent.AddedKey{PrivateKey: private, LifetimeSecs: 5, ConfirmBeforeUse: true}),
		"remove":          c.Remove(k.public),
		"remove all":      c.RemoveAll(),
		"lock":            c.Lock([]byte("x")),
		"unlock":          c.Unlock([]byte("x")),
	} {
		if err == nil {
			t.Errorf("%s was allowed", name)
		}
	}
	if f.credentials.Lookups() != 0 {
		t.Error("refusing took a lookup")
	}
	if keys := list(t, c); len(keys) != 1 || !bytes.Equal(keys[0].Blob, k.public.Marshal()) {
		t.Errorf("listed %v", keys)
	}
}

func TestExtensions(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"privateKey": newKey(t, "ed25519").text})
	c := f.client()
	answer, err := c.Extension("query", nil)
	want := append([]byte{29}, ssh.Marshal(struct{ A, B string }{"query", "session-bind@openssh.com"})...)
	if err != nil || !bytes.Equal(answer, want) {
		t.Errorf("query: %q, %v; want %q", answer, err, want)
	}
	if _, err := c.Extension("unheard@of", []byte("x")); !errors.Is(err, agent.ErrExtensionUnsupported) {
		t.Errorf("unknown extension: %v", err)
	}
}

func TestServesSeveralKeys(t *testing.T) {
	rsa, ec, ed, locked := newKey(t, "rsa"), newKey(t, "ecdsa"), newKey(t, "ed25519"), newKey(t, "ed25519")
	cert := ed.certify(t, nil)
	f := newFront(t, Config{}, map[string]string{
		"rsa": rsa.text, "ecdsa": ec.text, "comment": "old names",
		"privateKey2": ed.text, "certificate2": authorized(cert),
		"ed255193": locked.text, "comment3": "third", "passphrase3": "not needed",
	})
	c := f.client()
	want := []struct {
		key     ssh.PublicKey
		comment string
	}{{rsa.public, "old names"}, {ec.public, "old names"}, {cert, "deploy"}, {ed.public, "deploy"}, {locked.public, "third"}}
	keys := list(t, c)
	if len(keys) != len(want) {
		t.Fatalf("listed %v", keys)
	}
	for i, w := range want {
		if !bytes.Equal(keys[i].Blob, w.key.Marshal()) || keys[i].Comment != w.comment {
			t.Errorf("key %d is %s %q", i, keys[i].Format, keys[i].Comment)
		}
	}
	wantSigned(t, c, cert, 0, ssh.KeyAlgoED25519)
	wantSigned(t, c, locked.public, 0, ssh.KeyAlgoED25519)
	wantSigned(t, c, rsa.public, agent.SignatureFlagRsaSha512, ssh.KeyAlgoRSASHA512)
}

func TestRSACertificatesSignWithoutSHA1(t *testing.T) {
	rsa := newKey(t, "rsa")
	cert := rsa.certify(t, nil)
	c := newFront(t, Config{}, map[string]string{"privateKey": rsa.text, "certificate": authorized(cert)}).client()
	wantSigned(t, c, cert, agent.SignatureFlagRsaSha256, ssh.KeyAlgoRSASHA256)
	if _, err := c.Sign(cert, []byte("data")); err == nil {
		t.Error("signed with SHA-1")
	}
}

func TestFollowsRotation(t *testing.T) {
	old, next := newKey(t, "ed25519"), newKey(t, "ed25519")
	f := newFront(t, Config{}, map[string]string{"privateKey": old.text}, map[string]string{"privateKey": next.text})
	c := f.client()
	if keys := list(t, c); !bytes.Equal(keys[0].Blob, old.public.Marshal()) {
		t.Fatal("not the first key")
	}
	if _, err := c.Sign(old.public, []byte("data")); err == nil {
		t.Error("signed with a key that is gone")
	}
	wantSigned(t, c, next.public, 0, ssh.KeyAlgoED25519)
}

func TestFetchesAnExpiredCertificateAgain(t *testing.T) {
	k := newKey(t, "ed25519")
	past := k.certify(t, func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Hour).Unix()) })
	with := func(cert ssh.PublicKey) map[string]string {
		return map[string]string{"privateKey": k.text, "certificate": authorized(cert)}
	}
	fresh := k.certify(t, nil)
	f := newFront(t, Config{}, with(past), with(fresh))
	f.credentials.Cached = true
	if keys := list(t, f.client()); len(keys) != 2 || !bytes.Equal(keys[0].Blob, fresh.Marshal()) {
		t.Errorf("listed %v", keys)
	}
	f = newFront(t, Config{}, with(past))
	if _, err := f.client().List(); err == nil {
		t.Error("an expired certificate was listed")
	}
	if err := f.result(0); connector.KindOf(err) != connector.KindConfig || !strings.Contains(err.Error(), "privateKey: certificate: the certificate has expired") {
		t.Errorf("got %v", err)
	}
}

func TestLifetime(t *testing.T) {
	k, other := newKey(t, "ed25519"), newKey(t, "ed25519")
	f := newFront(t, Config{}, map[string]string{"privateKey": k.text, "lifetime": "60", "privateKey2": other.text, "lifetime2": "0"})
	c := f.client()
	if keys := list(t, c); len(keys) != 2 {
		t.Fatalf("listed %v", keys)
	}
	c = f.client() // a new connection sees the change
	f.since = f.since.Add(-61 * time.Second)
	c2 := f.client()
	if keys := list(t, c2); len(keys) != 1 || !bytes.Equal(keys[0].Blob, other.public.Marshal()) {
		t.Errorf("after its end: %v", keys)
	}
	if _, err := c.Sign(k.public, []byte("data")); err == nil {
		t.Error("signed after the key's end")
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	if keys := list(t, f.client()); len(keys) != 2 {
		t.Error("the start of the service does not begin the lifetime")
	}
}

func TestUnusableCredentials(t *testing.T) {
	ed, rsa := newKey(t, "ed25519"), newKey(t, "rsa")
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"empty":             {map[string]string{"privateKey": ""}, "every private key is empty"},
		"no key":            {map[string]string{"privateKey": "c4nary"}, "key privateKey: privateKey: it is not the text"},
		"rsa holds another": {map[string]string{"rsa2": ed.text}, "rsa2: it is a key of type ssh-ed25519; name the credential privateKey2"},
		"ecdsa as well":     {map[string]string{"ecdsa": rsa.text}, "ecdsa: it is a key of type ssh-rsa"},
		"ed25519 as well":   {map[string]string{"ed25519": rsa.text}, "ed25519: it is a key of type ssh-rsa"},
		"second is broken":  {map[string]string{"privateKey": ed.text, "privateKey2": "c4nary"}, "privateKey2: "},
		"lifetime":          {map[string]string{"privateKey": ed.text, "lifetime": "1h"}, "lifetime: it is a whole number of seconds"},
		"confirm":           {map[string]string{"privateKey": ed.text, "confirm": "yes"}, "confirm: it is true or false"},
		"certificate":       {map[string]string{"privateKey": ed.text, "certificate": authorized(rsa.certify(t, nil))}, "about another key"},
	} {
		f := newFront(t, Config{}, c.set)
		if _, err := f.client().List(); err == nil {
			t.Errorf("%s: listed", name)
		}
		err := f.result(0)
		if connector.KindOf(err) != connector.KindConfig || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "c4nary") {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestProviderFails(t *testing.T) {
	k := newKey(t, "ed25519")
	for _, ask := range []func(agent.Agent) error{
		func(c agent.Agent) error { _, err := c.List(); return err },
		func(c agent.Agent) error { _, err := c.Sign(k.public, []byte("data")); return err },
	} {
		f := newFront(t, Config{})
		f.credentials.Err = errors.New("the vault is sealed")
		if err := ask(f.client()); err == nil {
			t.Error("answered")
		}
		if err := f.result(0); connector.KindOf(err) != connector.KindCredentials || !strings.Contains(err.Error(), "sealed") {
			t.Errorf("got %v", err)
		}
	}
}

func TestNothingIsSignedWithoutAudit(t *testing.T) {
	k := newKey(t, "ed25519")
	f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
	f.unusable = errors.New("the disk is full")
	if _, err := f.client().Sign(k.public, []byte("data")); err == nil {
		t.Error("signed")
	}
	if !strings.Contains(f.log.String(), "the disk is full") {
		t.Errorf("log:\n%s", f.log)
	}
}

func TestMaxSignatures(t *testing.T) {
	k := newKey(t, "ed25519")
	f := newFront(t, Config{MaxSignatures: 2}, map[string]string{"privateKey": k.text})
	c := f.client()
	for range 2 {
		wantSigned(t, c, k.public, 0, ssh.KeyAlgoED25519)
	}
	if _, err := c.Sign(k.public, []byte("data")); err == nil {
		t.Error("signed a third time")
	}
	if keys := list(t, c); len(keys) != 1 {
		t.Errorf("listed %v", keys)
	}
	wantSigned(t, f.client(), k.public, 0, ssh.KeyAlgoED25519)
	if used := f.used(); len(used) != 3 || slices.Contains(used, "") {
		t.Errorf("audit has %q", used)
	}
}
