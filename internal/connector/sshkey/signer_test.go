package sshkey_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
	"secretless/internal/testenv"
)

const passphrase = "open, key"

// keygen runs ssh-keygen and fails the test when that fails.
func keygen(t *testing.T, args ...string) string {
	t.Helper()
	out, err := testenv.Command(t, nil, testenv.Tool(t, "ssh-keygen"), args...)
	if err != nil {
		t.Fatalf("ssh-keygen %v: %v\n%s", args, err, out)
	}
	return out
}

// generate makes a key pair with ssh-keygen and returns the private file's path.
func generate(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	if !slices.Contains(args, "-N") {
		args = append(args, "-N", "")
	}
	keygen(t, append([]string{"-q", "-C", "comment", "-f", path}, args...)...)
	return path
}

func read(t *testing.T, path string) secret.Value {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(text)
}

func wantSignatures(t *testing.T, signer ssh.MultiAlgorithmSigner, public ssh.PublicKey) {
	t.Helper()
	for _, algorithm := range signer.Algorithms() {
		if algorithm == ssh.KeyAlgoRSA {
			t.Error("signs with SHA-1")
		}
		signature, err := signer.SignWithAlgorithm(rand.Reader, []byte("data"), algorithm)
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		if err := public.Verify([]byte("data"), signature); err != nil || signature.Format != algorithm {
			t.Errorf("%s: signature is %s: %v", algorithm, signature.Format, err)
		}
	}
}

func TestReadsWhatSSHKeygenWrites(t *testing.T) {
	for _, kind := range [][]string{
		{"-t", "ed25519"},
		{"-t", "rsa", "-b", "2048"},
		{"-t", "ecdsa", "-b", "256"},
		{"-t", "ecdsa", "-b", "384"},
		{"-t", "ecdsa", "-b", "521"},
	} {
		for _, format := range []string{"RFC4716", "PEM", "PKCS8"} {
			for _, secretPhrase := range []string{"", passphrase} {
				// ssh-keygen writes ed25519 in its own form whatever one asks for.
				encryptedPKCS8 := format == "PKCS8" && secretPhrase != "" && kind[1] != "ed25519"
				t.Run(strings.Join(kind[1:], " ")+" "+format+" "+secretPhrase, func(t *testing.T) {
					path := generate(t, append(kind, "-m", format, "-N", secretPhrase)...)
					signer, err := sshkey.Signer(read(t, path), secret.Copy(secretPhrase), secret.Value{})
					if encryptedPKCS8 {
						if err == nil || !strings.Contains(err.Error(), "ssh-keygen -p") {
							t.Fatalf("got %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					public, _, _, _, err := ssh.ParseAuthorizedKey(read(t, path+".pub").Bytes())
					if err != nil {
						t.Fatal(err)
					}
					wantSignatures(t, signer, public)
					if shown := keygen(t, "-l", "-f", path+".pub"); !strings.Contains(shown, sshkey.Fingerprint(signer.PublicKey())+" ") {
						t.Errorf("fingerprint %s, ssh-keygen says %s", sshkey.Fingerprint(signer.PublicKey()), shown)
					}
				})
			}
		}
	}
}

func TestReadsWhatOpenSSLWrites(t *testing.T) {
	for _, args := range [][]string{{"-algorithm", "ed25519"}, {"-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"}, {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}} {
		out, err := testenv.Command(t, nil, testenv.Tool(t, "openssl"), append([]string{"genpkey", "-quiet"}, args...)...)
		if err != nil {
			t.Fatal(err, out)
		}
		signer, err := sshkey.Signer(secret.Copy(out[strings.Index(out, "-----BEGIN"):]), secret.Value{}, secret.Value{})
		if err != nil {
			t.Fatal(args, err)
		}
		wantSignatures(t, signer, signer.PublicKey())
	}
}

func TestRefusesPrivateKeys(t *testing.T) {
	good := read(t, generate(t, "-t", "ed25519"))
	encrypted := read(t, generate(t, "-t", "ed25519", "-N", passphrase))
	oldEncrypted := read(t, generate(t, "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", passphrase))
	lines := strings.Split(string(good.Bytes()), "\n")
	for name, c := range map[string]struct {
		private    secret.Value
		passphrase string
		want       string
	}{
		"empty":                    {secret.Copy(" \n"), "", "privateKey: it is empty"},
		"public key":               {secret.Copy("ssh-ed25519 AAAAC3Nz c4nary"), "", "it is not the text of a private key"},
		"path":                     {secret.Copy("~/.ssh/id_ed25519"), "", "it is not the text of a private key"},
		"without line breaks":      {secret.Copy(strings.ReplaceAll(string(good.Bytes()), "\n", " ")), "", "the line breaks must be kept"},
		"cut off":                  {secret.Copy(strings.Join(slices.Delete(lines, 2, 4), "\n")), "", "holds no key that can be read"},
		"PuTTY":                    {secret.Copy("PuTTY-User-Key-File-3: ssh-ed25519"), "", "puttygen"},
		"certificate of X.509":     {secret.Copy("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "", "is no private key"},
		"DSA":                      {secret.Copy("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n"), "", "DSA"},
		"small RSA":                {read(t, generate(t, "-t", "rsa", "-b", "1024")), "", "RSA key of 1024 bits, and fewer than 2048"},
		"without its passphrase":   {encrypted, "", "the credential passphrase is absent or empty"},
		"wrong passphrase":         {encrypted, "c4nary", "passphrase: it does not decrypt"},
		"wrong passphrase of PEM":  {oldEncrypted, "c4nary", "passphrase: it does not decrypt"},
		"without passphrase, PEM":  {oldEncrypted, "", "the credential passphrase is absent or empty"},
		"secp256k1, which SSH has": {secret.Copy(secp256k1), "", "privateKey: "},
	} {
		_, err := sshkey.Signer(c.private, secret.Copy(c.passphrase), secret.Value{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "c4nary") {
			t.Errorf("%s: reveals what it was given: %v", name, err)
		}
	}
}

// secp256k1 is an EC PRIVATE KEY on a curve that SSH does not have.
const secp256k1 = `-----BEGIN EC PRIVATE KEY-----
MHQCAQEEIJhkqvhYnGWh6Ml+n0a4mFZc1mnCJgZ2oT7a1h0vkYv0oAcGBSuBBAAK
oUQDQgAEMJ3jH0Yl3m6sQ1bFqZt7QwK8mE6o2nZ0Gk3TqQ0XkqQqXyR3yJm6c9l7
-----END EC PRIVATE KEY-----
`

// certify has a new authority sign the public key beside path.
func certify(t *testing.T, path string, args ...string) string {
	t.Helper()
	keygen(t, append(append([]string{"-q", "-s", generate(t, "-t", "ed25519"), "-I", "id"}, args...), path+".pub")...)
	return path + "-cert.pub"
}

func TestAttachesCertificates(t *testing.T) {
	for _, kind := range [][]string{{"-t", "ed25519"}, {"-t", "rsa", "-b", "2048"}, {"-t", "ecdsa"}} {
		path := generate(t, kind...)
		text := read(t, certify(t, path, "-n", "deploy"))
		blob := strings.Fields(string(text.Bytes()))[1]
		wire, err := base64.StdEncoding.DecodeString(blob)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []secret.Value{text, secret.Copy(blob), secret.New(wire)} {
			signer, err := sshkey.Signer(read(t, path), secret.Value{}, form)
			if err != nil {
				t.Fatal(kind, err)
			}
			cert, ok := signer.PublicKey().(*ssh.Certificate)
			if !ok || !slices.Equal(cert.ValidPrincipals, []string{"deploy"}) {
				t.Fatalf("%s: public key is %s", kind, signer.PublicKey().Type())
			}
			wantSignatures(t, signer, cert.Key)
		}
	}
}

func TestRefusesCertificates(t *testing.T) {
	path := generate(t, "-t", "ed25519")
	day := func(d int) string { return time.Now().AddDate(0, 0, d).UTC().Format("20060102150405Z") }
	copyOf := func(args ...string) secret.Value { return read(t, certify(t, path, args...)) }
	for name, c := range map[string]struct {
		certificate secret.Value
		want        string
	}{
		"of another key":     {read(t, certify(t, generate(t, "-t", "ed25519"))), "it is about another key (SHA256:"},
		"of a host":          {copyOf("-h"), "it is for a host"},
		"expired":            {copyOf("-V", day(-3)+":"+day(-2)), "the certificate has expired, on "},
		"not yet valid":      {copyOf("-V", day(2)+":"+day(3)), "valid only from"},
		"a plain public key": {read(t, path+".pub"), "a public key without a certificate"},
		"rubbish":            {secret.Copy("ssh-ed25519-cert-v01@openssh.com !"), "not base64"},
		"cut off":            {secret.Copy("AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t"), "cut off"},
		"of another type":    {secret.Copy("ssh-rsa " + strings.Fields(string(copyOf().Bytes()))[1]), "the line says"},
	} {
		_, err := sshkey.Signer(read(t, path), secret.Value{}, c.certificate)
		if err == nil || !strings.HasPrefix(err.Error(), "certificate: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if errors.Is(err, sshkey.ErrExpired) != (name == "expired") {
			t.Errorf("%s: expired: %v", name, err)
		}
	}
}
