package cli

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"secretless/internal/localca"
)

// trustStore is where a system keeps what an administrator trusts.
type trustStore struct {
	systems string
	dir     string // for one certificate a file
	command string // which takes them up
}

func trustStores() []trustStore {
	return []trustStore{
		{"Debian, Ubuntu, Alpine", "/usr/local/share/ca-certificates", "update-ca-certificates"},
		{"Fedora, RHEL", "/etc/pki/ca-trust/source/anchors", "update-ca-trust"},
		{"openSUSE, SLES", "/etc/pki/trust/anchors", "update-ca-certificates"},
	}
}

func (s trustStore) here() bool {
	info, err := os.Stat(s.dir)
	if err != nil || !info.IsDir() {
		return false
	}
	_, err = exec.LookPath(s.command)
	return err == nil
}

// prefix begins the names of our files there.
const prefix = "secretless-"

// name is different for each certificate.
func (s trustStore) name(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return filepath.Join(s.dir, prefix+hex.EncodeToString(sum[:4])+".crt")
}

// install writes the certificates, removes earlier ones of ours, and has the
// system take note. It says each thing that it does.
func (s trustStore) install(ctx context.Context, env Env, trust []*x509.Certificate) error {
	var current []string
	for _, cert := range trust {
		name := s.name(cert)
		current = append(current, name)
		if err := os.WriteFile(name, localca.EncodePEM([]*x509.Certificate{cert}), 0o644); err != nil { //nolint:gosec // for everybody
			return failed(fmt.Errorf("installing the local CA: %w; this needs root", err))
		}
		fmt.Fprintf(env.Stdout, "wrote %s\n", name)
	}
	old, err := filepath.Glob(filepath.Join(s.dir, prefix+"????????.crt"))
	if err != nil {
		return failed(err)
	}
	for _, name := range old {
		if slices.Contains(current, name) {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return failed(err)
		}
		fmt.Fprintf(env.Stdout, "removed %s\n", name)
	}
	fmt.Fprintf(env.Stdout, "running %s\n", s.command)
	cmd := exec.CommandContext(ctx, s.command)
	cmd.Stdout, cmd.Stderr = env.Stdout, env.Stderr
	if err := cmd.Run(); err != nil {
		return failed(fmt.Errorf("%s: %w", s.command, err))
	}
	return nil
}

// printTrust prints the commands for every system: the file may be needed on
// another one.
func printTrust(env Env, p *plan) error {
	file := filepath.Join(p.trustDir(""), localca.CAFile)
	fmt.Fprintf(env.Stdout, "# The certificate is %s\n", file)
	for _, s := range trustStores() {
		fmt.Fprintf(env.Stdout, "\n# %s\nsudo cp %s %s\nsudo %s\n", s.systems, shellQuote(file), filepath.Join(s.dir, prefix+"ca.crt"), s.command)
	}
	_, err := fmt.Fprintf(env.Stdout, `
# Arch
sudo trust anchor --store %[1]s

# macOS
sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain %[1]s

# Windows, as administrator
certutil -addstore -f Root %[2]s

# Firefox and Chromium on Linux, for the current user
certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n secretless -i %[1]s
`, shellQuote(file), `"`+file+`"`)
	return err
}
