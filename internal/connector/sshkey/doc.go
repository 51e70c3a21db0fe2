// Package sshkey is what the connectors ssh and ssh-agent share: private keys
// and their certificates as they come out of a provider, and the host keys
// that a target is known by.
//
// Keys are RSA of at least MinRSABits, ECDSA on the NIST curves, or Ed25519.
// RSA signs with SHA-2 alone (RFC 8332). DSA and keys that live in hardware
// are refused.
//
// The secret.Values given to this package stay the caller's, who wipes them.
// The parsed keys cannot be wiped: crypto/rsa, crypto/ecdsa and the PEM
// decoder copy what they read. So a caller keeps a signer for as short a time
// as it can.
package sshkey

import (
	"fmt"

	"golang.org/x/crypto/ssh"
)

// MinRSABits is the smallest RSA key that is used or trusted: what NIST SP
// 800-57 calls acceptable today, and the size that ssh-keygen made by default
// before it went on to 3072.
const MinRSABits = 2048

// Fingerprint is how OpenSSH shows a key, SHA256:…. A certificate has that of
// the key it is about.
func Fingerprint(key ssh.PublicKey) string {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	return ssh.FingerprintSHA256(key)
}

// checkPublic refuses kinds and sizes of keys that nobody should rely on.
func checkPublic(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		if bits := rsaBits(key); bits < MinRSABits {
			return fmt.Errorf("it is an RSA key of %d bits, and fewer than %d are too weak", bits, MinRSABits)
		}
		return nil
	}
	return fmt.Errorf("keys of type %s are not supported; use ed25519, ecdsa or rsa", key.Type())
}
