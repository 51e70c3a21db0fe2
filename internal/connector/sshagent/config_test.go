package sshagent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestConfigErrors(t *testing.T) {
	weak := "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ" // cut off
	host := newKey(t, "ed25519")
	cert := host.certify(t, func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"empty list":         {Config{AllowHosts: []string{}}, "allowHosts is empty"},
		"a name":             {Config{AllowHosts: []string{"github.com"}}, `allowHosts: "github.com": the key is not base64`},
		"cut off":            {Config{AllowHosts: []string{weak}}, "allowHosts: "},
		"short fingerprint":  {Config{AllowHosts: []string{"SHA256:AAAA"}}, "the fingerprint is not SHA256:"},
		"MD5":                {Config{AllowHosts: []string{"MD5:aa:bb"}}, "allowHosts: "},
		"certificate":        {Config{AllowHosts: []string{authorized(cert)}}, "it is a certificate"},
		"relative command":   {Config{Confirm: []string{"ask"}}, `confirm: "ask" is not an absolute path`},
		"NUL":                {Config{Confirm: []string{"/bin/ask", "a\x00"}}, "NUL"},
		"short time":         {Config{ConfirmTimeout: time.Millisecond}, "confirmTimeout 1ms is not between"},
		"long time":          {Config{ConfirmTimeout: time.Hour}, "confirmTimeout 1h0m0s is not between"},
		"negative":           {Config{MaxSignatures: -1}, "maxSignatures -1 is below 0"},
		"good":               {Config{AllowHosts: []string{authorized(host.public), ssh.FingerprintSHA256(host.public)}, MaxSignatures: 5}, ""},
		"good, base64 alone": {Config{AllowHosts: []string{strings.Fields(authorized(host.public))[1]}}, ""},
	} {
		err := c.config.complete()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if c.want == "" && len(c.config.hosts) != 1 {
			t.Errorf("%s: hosts %v", name, c.config.hosts)
		}
	}
}

func TestCredentialNames(t *testing.T) {
	for names, want := range map[string]string{
		"privateKey":                           "",
		"rsa ecdsa ed25519 comment lifetime":   "",
		"privateKey8 passphrase8 certificate8": "",
		"":                                     "add the credential privateKey",
		"privateKey comment2":                  `credential "comment2" belongs to no key: there is no privateKey2`,
		"passphrase":                           `credential "passphrase" belongs to no key`,
		"rsa ecdsa certificate":                `credential "certificate" could belong to rsa or ecdsa`,
		"privateKey2 rsa2 certificate2 privateKey": `credential "certificate2" could belong to privateKey2 or rsa2`,
	} {
		err := checkCredentials(strings.Fields(names))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", names, err, want)
		}
	}
}

func TestEveryPrivateCredentialIsSecret(t *testing.T) {
	for _, c := range Definition().Credentials {
		name := strings.TrimRight(c.Name, "2345678")
		want := name == "privateKey" || name == "rsa" || name == "ecdsa" || name == "ed25519" || name == "passphrase"
		if name == "ed" { // ed25519 itself ends in digits
			want = true
		}
		if c.Secret != want {
			t.Errorf("%s: secret %v", c.Name, c.Secret)
		}
	}
}

// A literal that is no key is an error when the file is read.
func TestLiteralKeysAreLookedAt(t *testing.T) {
	good := newKey(t, "ed25519").text
	for _, c := range credentials() {
		if !slices.Contains(kinds(), strings.TrimRight(c.Name, "2345678")) {
			continue
		}
		if err := c.Check(good); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if err := c.Check("~/.ssh/id_c4nary"); err == nil || strings.Contains(err.Error(), "c4nary") {
			t.Errorf("%s: got %v", c.Name, err)
		}
	}
}
