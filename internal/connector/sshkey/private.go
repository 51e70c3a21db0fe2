package sshkey

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"secretless/internal/secret"
)

// parsePrivate reads PKCS #1, SEC 1, PKCS #8 and OpenSSH's own form. What the
// library says about broken keys stays out of the errors: none of it may
// quote the key.
func parsePrivate(private, passphrase secret.Value) (any, error) {
	text := private.Bytes()
	if err := checkPEM(text); err != nil {
		return nil, fmt.Errorf("privateKey: %w", err)
	}
	key, err := ssh.ParseRawPrivateKey(text)
	if _, encrypted := errors.AsType[*ssh.PassphraseMissingError](err); encrypted {
		return decrypt(text, passphrase)
	}
	if err != nil {
		return nil, errors.New("privateKey: the PEM block holds no key that can be read; it may be cut off or of a type that is not supported (ed25519, ecdsa and rsa are)")
	}
	return key, nil
}

func decrypt(text []byte, passphrase secret.Value) (any, error) {
	if passphrase.Len() == 0 {
		return nil, errors.New("privateKey: the key is encrypted, and the credential passphrase is absent or empty")
	}
	key, err := ssh.ParseRawPrivateKeyWithPassphrase(text, passphrase.Bytes())
	switch {
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, errors.New("passphrase: it does not decrypt the privateKey")
	case err != nil:
		return nil, errors.New("privateKey: the key cannot be decrypted: it is broken, or encrypted in a way that is not supported; ssh-keygen -p writes it anew")
	}
	return key, nil
}

// CheckPrivate says what text is when it is not that of a private key, without
// reading the key: it may be encrypted. The error does not repeat it.
func CheckPrivate(text string) error {
	copied := []byte(text)
	defer clear(copied)
	return checkPEM(copied)
}

// checkPEM says what text is when it is no private key in PEM.
func checkPEM(text []byte) error {
	block, _ := pem.Decode(text)
	trimmed := bytes.TrimSpace(text)
	switch {
	case len(trimmed) == 0:
		return errors.New("it is empty")
	case bytes.HasPrefix(trimmed, []byte("PuTTY-User-Key-File-")):
		return errors.New("it is in PuTTY's format; convert it with puttygen key.ppk -O private-openssh")
	case block == nil && bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		return errors.New("it starts like PEM and is none: the line breaks must be kept, and the last line is -----END …-----")
	case block == nil:
		return errors.New("it is not the text of a private key in PEM or OpenSSH's form, which begins with -----BEGIN")
	}
	defer clear(block.Bytes)
	switch block.Type {
	case "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY":
		return nil
	case "ENCRYPTED PRIVATE KEY":
		return errors.New("it is encrypted as PKCS #8, which is not supported; ssh-keygen -p writes it in OpenSSH's form")
	case "DSA PRIVATE KEY":
		return errors.New("it is a DSA key, which no current server takes; use ed25519")
	}
	return errors.New("its PEM block is no private key; it begins with -----BEGIN OPENSSH PRIVATE KEY-----, RSA, EC or PRIVATE KEY")
}
