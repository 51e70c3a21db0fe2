package sshkey_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector/sshkey"
	"secretless/internal/testenv"
)

// hostKey is a new key: its line without comment, and the key.
func hostKey(t *testing.T, args ...string) (path, line string, key ssh.PublicKey) {
	t.Helper()
	path = generate(t, args...)
	key, _, _, _, err := ssh.ParseAuthorizedKey(read(t, path+".pub").Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), key
}

func parseHosts(t *testing.T, text string) *sshkey.HostKeys {
	t.Helper()
	keys, err := sshkey.ParseHostKeys([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return keys
}

// hashed is lines with their host names hashed by ssh-keygen -H.
func hashed(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(lines+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keygen(t, "-q", "-H", "-f", path)
	text := string(read(t, path).Bytes())
	if !strings.HasPrefix(text, "|1|") {
		t.Fatalf("not hashed: %s", text)
	}
	return text
}

func TestHostKeyLines(t *testing.T) {
	_, good, key := hostKey(t, "-t", "ed25519")
	_, other, otherKey := hostKey(t, "-t", "ed25519")
	_, rsa, _ := hostKey(t, "-t", "rsa", "-b", "2048")
	const ok = sshkey.Problem(-1)
	for name, c := range map[string]struct {
		text, address string
		want          sshkey.Problem
	}{
		"authorized_keys":               {good, "db:22", ok},
		"with a comment":                {good + " root at the host", "db:22", ok},
		"one of several":                {"# keys\n\n" + rsa + "\r\n" + good + "\r\n", "db:22", ok},
		"another":                       {other, "db:22", sshkey.Mismatch},
		"base64 alone":                  {base64.StdEncoding.EncodeToString(key.Marshal()), "db:22", ok},
		"wire form":                     {string(key.Marshal()), "db:22", ok},
		"wire form of another":          {string(otherKey.Marshal()), "db:22", sshkey.Mismatch},
		"accept-any":                    {"accept-any\n", "db:22", ok},
		"known_hosts":                   {"db " + good, "db:22", ok},
		"known_hosts, upper case":       {"DB " + good, "dB:22", ok},
		"name like a type of key":       {"ssh-gateway " + good, "ssh-gateway:22", ok},
		"list of names":                 {"a,db,10.0.0.1 " + good, "10.0.0.1:22", ok},
		"unknown name":                  {"db " + good, "db2:22", sshkey.UnknownHost},
		"port not named":                {"db " + good, "db:2222", sshkey.UnknownHost},
		"port":                          {"[db]:2222 " + good, "db:2222", ok},
		"other port":                    {"[db]:2222 " + good, "db:22", sshkey.UnknownHost},
		"IPv6":                          {"::1 " + good, "[::1]:22", ok},
		"IPv6 and port":                 {"[::1]:2222 " + good, "[::1]:2222", ok},
		"star":                          {"*.example.com " + good, "a.b.example.com:22", ok},
		"star and question mark":        {"d?.*.com " + good, "db.x.com:22", ok},
		"star not matching":             {"*.example.com " + good, "example.com:22", sshkey.UnknownHost},
		"negated":                       {"*,!db " + good, "db:22", sshkey.UnknownHost},
		"negated, other":                {"!db,* " + good, "da:22", ok},
		"hashed":                        {hashed(t, "db "+good), "db:22", ok},
		"hashed with port":              {hashed(t, "[db]:2222 "+good), "db:2222", ok},
		"hashed, other name":            {hashed(t, "db "+good), "da:22", sshkey.UnknownHost},
		"hashed, other key":             {hashed(t, "db "+other), "db:22", sshkey.Mismatch},
		"revoked":                       {"db " + good + "\n@revoked * " + good, "db:22", sshkey.Revoked},
		"revoked before":                {"@revoked * " + good + "\ndb " + good, "db:22", sshkey.Revoked},
		"revoked for another name":      {good + "\n@revoked other " + good, "db:22", sshkey.Revoked},
		"authority's key shown as own":  {"@cert-authority * " + good, "db:22", sshkey.Mismatch},
		"other line for the same host":  {"db " + other + "\ndb " + good, "db:22", ok},
		"many stars end in linear time": {strings.Repeat("*a", 60) + "b " + good, strings.Repeat("a", 200) + ":22", sshkey.UnknownHost},
	} {
		err := parseHosts(t, c.text).Check(c.address, nil, key)
		e, failed := errors.AsType[*sshkey.HostKeyError](err)
		switch {
		case err == nil && c.want == ok:
		case !failed || e.Problem != c.want:
			t.Errorf("%s: got %v, want problem %d", name, err, c.want)
		case !strings.Contains(err.Error(), sshkey.Fingerprint(key)) || !strings.Contains(err.Error(), c.address):
			t.Errorf("%s: error lacks fingerprint or address: %v", name, err)
		case c.want == sshkey.Mismatch && len(e.Expected) != 1:
			t.Errorf("%s: expected %v", name, e.Expected)
		}
	}
}

func TestMismatchTellsBothFingerprints(t *testing.T) {
	_, line, pinned := hostKey(t, "-t", "ed25519")
	_, _, offered := hostKey(t, "-t", "rsa", "-b", "2048")
	err := parseHosts(t, line).Check("db:22", nil, offered)
	for _, want := range []string{sshkey.Fingerprint(pinned), sshkey.Fingerprint(offered), "update hostKey"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func TestHostCertificates(t *testing.T) {
	caPath, ca, _ := hostKey(t, "-t", "ed25519")
	_, otherCA, _ := hostKey(t, "-t", "ed25519")
	cert := func(args ...string) ssh.PublicKey {
		path, _, _ := hostKey(t, "-t", "ecdsa")
		keygen(t, append(append([]string{"-q", "-s", caPath, "-I", "id"}, args...), path+".pub")...)
		key, _, _, _, err := ssh.ParseAuthorizedKey(read(t, path+"-cert.pub").Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	good := cert("-h", "-n", "db")
	plain := good.(*ssh.Certificate).Key
	for name, c := range map[string]struct {
		text string
		key  ssh.PublicKey
		want string
	}{
		"good":                     {"@cert-authority *.x,db " + ca, good, ""},
		"without names":            {"@cert-authority " + ca, good, ""},
		"of another authority":     {"@cert-authority * " + otherCA, good, "no authorities"},
		"authority of other hosts": {"@cert-authority *.x " + ca, good, "no authorities"},
		"for another host":         {"@cert-authority * " + ca, cert("-h", "-n", "da"), "principal"},
		"expired":                  {"@cert-authority * " + ca, cert("-h", "-n", "db", "-V", "20200101:20200102"), "expired"},
		"of a user":                {"@cert-authority * " + ca, cert("-n", "db"), "type 1"},
		"authority revoked":        {"@cert-authority * " + ca + "\n@revoked * " + ca, good, "revoked"},
		"key revoked":              {"@cert-authority * " + ca + "\n@revoked * " + string(ssh.MarshalAuthorizedKey(plain)), good, "revoked"},
		"certificate revoked":      {"@cert-authority * " + ca + "\n@revoked * " + string(ssh.MarshalAuthorizedKey(good)), good, "revoked"},
		"key without certificate":  {"@cert-authority * " + ca, plain, "names (certificates of SHA256:"},
		"authority not marked":     {ca, good, "no authorities"},
	} {
		err := parseHosts(t, c.text).Check("db:22", nil, c.key)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestRefusesHostCertificatesSignedWithSHA1(t *testing.T) {
	path, line, _ := hostKey(t, "-t", "rsa", "-b", "2048")
	ca, err := ssh.ParsePrivateKey(read(t, path).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	_, _, key := hostKey(t, "-t", "ed25519")
	for algorithm, want := range map[string]string{ssh.KeyAlgoRSA: "SHA-1", ssh.KeyAlgoRSASHA256: ""} {
		signer, err := ssh.NewSignerWithAlgorithms(ca.(ssh.AlgorithmSigner), []string{algorithm})
		if err != nil {
			t.Fatal(err)
		}
		cert := &ssh.Certificate{Key: key, CertType: ssh.HostCert, ValidPrincipals: []string{"db"}, ValidBefore: ssh.CertTimeInfinity}
		if err := cert.SignCert(rand.Reader, signer); err != nil {
			t.Fatal(err)
		}
		err = parseHosts(t, "@cert-authority * "+line).Check("db:22", nil, cert)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", algorithm, err, want)
		}
	}
}

func TestRefusesHostKeys(t *testing.T) {
	_, good, _ := hostKey(t, "-t", "ed25519")
	_, weak, weakKey := hostKey(t, "-t", "rsa", "-b", "1024")
	certPath := certify(t, generate(t, "-t", "ed25519"), "-h")
	for name, c := range map[string]struct{ text, want string }{
		"empty":             {"", "there is no key in it"},
		"comments only":     {"# nothing\n", "there is no key in it"},
		"revoked only":      {"@revoked * " + good, "there is no key in it"},
		"a word":            {"accept_any", "line 1: it is neither a key"},
		"accept-any, more":  {"accept-any\n" + good, "line 1: it is neither a key"},
		"unknown marker":    {"@trusted * " + good, `the marker "@trusted" is unknown`},
		"marker alone":      {"@revoked", "neither a key"},
		"cut off":           {good + "\ndb " + good[:len(good)-8], "line 2: the key "},
		"not base64":        {"ssh-ed25519 AAAA!", "not base64"},
		"other type":        {strings.Replace(good, "ed25519", "rsa", 1), `the line says "ssh-rsa"`},
		"weak":              {weak, "RSA key of 1024 bits"},
		"weak, wire":        {string(weakKey.Marshal()), "RSA key of 1024 bits"},
		"certificate":       {string(read(t, certPath).Bytes()), "marked @cert-authority"},
		"hash broken":       {"|1|AAAA|AAAA " + good, "hashed host name is broken"},
		"hash of a new way": {"|2|AAAA|AAAA " + good, "not of the form |1|"},
		"wire cut off":      {"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20abc", "hostKey: the key cannot be read"},
	} {
		if _, err := sshkey.ParseHostKeys([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	err := parseHosts(t, sshkey.AcceptAny).Check("db:22", nil, weakKey)
	if e, ok := errors.AsType[*sshkey.HostKeyError](err); !ok || e.Problem != sshkey.Unacceptable {
		t.Errorf("accept-any takes a weak key: %v", err)
	}
}

func TestAlgorithmsAsksForKnownKeysFirst(t *testing.T) {
	_, rsa, _ := hostKey(t, "-t", "rsa", "-b", "2048")
	_, ec, _ := hostKey(t, "-t", "ecdsa", "-b", "384")
	keys := parseHosts(t, "db "+ec+"\ndb "+rsa+"\n@cert-authority ca "+rsa)
	for address, want := range map[string]string{
		"db:22": ssh.KeyAlgoECDSA384 + " " + ssh.KeyAlgoRSASHA512 + " " + ssh.KeyAlgoRSASHA256 + " " + ssh.KeyAlgoED25519,
		"ca:22": ssh.CertAlgoED25519v01,
		"x:22":  ssh.KeyAlgoED25519,
	} {
		got := keys.Algorithms(address)
		if !strings.HasPrefix(strings.Join(got, " "), want) {
			t.Errorf("%s: %v", address, got)
		}
		if slices.Contains(got, ssh.KeyAlgoRSA) || slices.Contains(got, ssh.CertAlgoRSAv01) || slices.Contains(got, "ssh-dss") {
			t.Errorf("%s asks for SHA-1 or DSA: %v", address, got)
		}
		if distinct := slices.Compact(slices.Sorted(slices.Values(got))); len(distinct) != len(got) {
			t.Errorf("%s: repeated: %v", address, got)
		}
	}
}

func FuzzParseHostKeys(f *testing.F) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNoYW5nZSB0aGlzIHRvIGEga2V5IG9mIHRoZSBob3N0"
	for _, seed := range []string{key, "db " + key, "@revoked * " + key, "|1|AAAA|AAAA " + key, "accept-any", "\x00\x00\x00\x0bssh-ed25519"} {
		f.Add([]byte(seed), "db:22")
	}
	const wire = "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00 0123456789abcdef0123456789abcdef"
	stranger, err := ssh.ParsePublicKey([]byte(wire))
	if err != nil {
		f.Fatal(err)
	}
	named := [][]byte{[]byte(wire), []byte(base64.StdEncoding.EncodeToString([]byte(wire)))}
	f.Fuzz(func(t *testing.T, text []byte, address string) {
		keys, err := sshkey.ParseHostKeys(text)
		if err != nil {
			return
		}
		if len(keys.Algorithms(address)) == 0 {
			t.Error("no algorithm to ask for")
		}
		known := keys.AcceptsAny() || slices.ContainsFunc(named, func(form []byte) bool { return bytes.Contains(text, form) })
		if err := keys.Check(address, nil, stranger); err == nil && !known {
			t.Errorf("a key that is not in the text was taken: %q", text)
		}
	})
}

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
