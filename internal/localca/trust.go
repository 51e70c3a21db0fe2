package localca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"software.sslmate.com/src/go-pkcs12"

	"secretless/internal/fips"
)

// The files that clients are pointed to. They hold no secret.
const (
	// CAFile holds what clients must trust besides what they trust anyway.
	CAFile = "secretless-ca.pem"
	// BundleFile holds the system's roots too, for programs that are told of
	// one file and then trust nothing else.
	BundleFile = "bundle.pem"
	// StoreFile is the bundle as Java reads it.
	StoreFile = "truststore.p12"
)

// StorePassword is what Java opens StoreFile with, where passwords are
// customary even for what is public.
const StorePassword = "changeit"

// systemRoots are where systems keep their roots as one PEM file.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Gentoo
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/etc/ssl/cert.pem",                                 // Alpine, macOS, OpenBSD
	"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
}

const maxRoots = 16 << 20

// SystemRoots reads the system's roots, from file if that is not empty. Where
// the system keeps them in another way, the error says what to do.
func SystemRoots(file string) ([]*x509.Certificate, error) {
	if file != "" {
		return readRoots(file)
	}
	for _, path := range systemRoots {
		certs, err := readRoots(path)
		if !errors.Is(err, os.ErrNotExist) {
			return certs, err
		}
	}
	return nil, errors.New("the system's root certificates are in none of the usual files; name a PEM file that holds them with --roots")
}

func readRoots(path string) ([]*x509.Certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the root certificates: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxRoots+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the root certificates: %w", err)
	case len(data) > maxRoots:
		return nil, fmt.Errorf("%s is larger than %d MiB: that is no list of root certificates", path, maxRoots>>20)
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		// A list that is in use holds some that Go does not read; a program
		// that could would not trust them for a host either.
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			certs = append(certs, cert)
		}
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificates", path)
	}
	return certs, nil
}

// WriteTrust writes the three files into dir, readable by all, and returns
// whether any of them changed. roots may hold earlier authorities of ours,
// which are left out.
func WriteTrust(dir string, trust, roots []*x509.Certificate) (changed bool, err error) {
	bundle := join(trust, roots)
	ca, all := encodeCerts(trust...), encodeCerts(bundle...)
	same := holds(filepath.Join(dir, CAFile), ca) && holds(filepath.Join(dir, BundleFile), all)
	if _, err := os.Stat(filepath.Join(dir, StoreFile)); err == nil && same {
		return false, nil // the store is encrypted anew each time: it does not compare
	}
	if err := fips.Key("the password of Java's trust store, which is no secret,", len(StorePassword)); err != nil {
		return false, err
	}
	store, err := pkcs12.Modern2023.EncodeTrustStore(bundle, StorePassword)
	if err != nil {
		return false, fmt.Errorf("making Java's trust store: %w", err)
	}
	// The one that is compared last is written last: an interrupted run does
	// not look complete.
	for _, f := range []struct {
		name string
		text []byte
	}{{StoreFile, store}, {CAFile, ca}, {BundleFile, all}} {
		if err := writeFile(filepath.Join(dir, f.name), f.text, 0o644, true); err != nil {
			return false, err
		}
	}
	return true, nil
}

func holds(path string, text []byte) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	found, err := io.ReadAll(io.LimitReader(f, int64(len(text))+1))
	return err == nil && bytes.Equal(found, text)
}

// join puts what clients must trust before the roots, each once.
func join(trust, roots []*x509.Certificate) []*x509.Certificate {
	all := append([]*x509.Certificate(nil), trust...)
	seen := map[string]bool{}
	for _, c := range trust {
		seen[string(c.Raw)] = true
	}
	for _, c := range roots {
		ours := len(c.Subject.Organization) == 1 && c.Subject.Organization[0] == organization
		if !ours && !seen[string(c.Raw)] {
			seen[string(c.Raw)] = true
			all = append(all, c)
		}
	}
	return all
}

// EncodePEM is certificates as a PEM file.
func EncodePEM(certs []*x509.Certificate) []byte { return encodeCerts(certs...) }
