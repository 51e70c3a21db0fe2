package kubeapi

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"secretless/internal/secret"
)

// Bounds of the files that are read.
const (
	maxConfig = 1 << 20
	maxToken  = 64 << 10
)

// readRoots reads authorities from a PEM file; without a path they are the
// system's, which nil stands for.
func readRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := readFile(path, maxConfig)
	if err != nil {
		return nil, err
	}
	return parseRoots(path, pem)
}

func parseRoots(what string, pem []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", what)
	}
	return roots, nil
}

// ReadToken reads a token from a regular file.
func ReadToken(path string) (secret.Value, error) {
	b, err := readFile(path, maxToken)
	if err != nil {
		return secret.Value{}, err
	}
	defer clear(b)
	token, err := CleanToken(b)
	if err != nil {
		return secret.Value{}, fmt.Errorf("token in %s: %w", path, err)
	}
	return token, nil
}

// CleanToken copies a token without the newline that files end with. What is
// left must fit into a header's line.
func CleanToken(b []byte) (secret.Value, error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return secret.Value{}, errors.New("it is empty")
	}
	if len(b) > maxToken || bytes.ContainsFunc(b, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return secret.Value{}, errors.New("it is none: it has characters that no token has, or is too long")
	}
	return secret.Copy(b), nil
}

// readFile reads a regular file of at most limit bytes. Its errors name the
// path once and nothing of the content.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: that would wait for a named pipe's writer
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, bare(err))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading %s: not a regular file", path)
	case info.Size() > limit:
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", path, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, bare(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, bare(err))
	}
	return b, nil
}

// bare drops the path, which the caller says.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
