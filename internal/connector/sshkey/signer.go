package sshkey

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/secret"
)

// ErrExpired is in the chain of errors about a certificate whose time is over:
// one that was cached is worth fetching again.
var ErrExpired = errors.New("the certificate has expired")

// Signer reads a private key, decrypts it with passphrase where it is
// encrypted, and attaches certificate where that is not empty. The signer's
// public key is then the certificate. Its algorithms are those of the key
// without SHA-1, the preferred first, by their names without certificate.
//
// Errors name the credential (privateKey, passphrase, certificate) and what to
// do, never a part of it. The signer is safe for concurrent use.
func Signer(private, passphrase, certificate secret.Value) (ssh.MultiAlgorithmSigner, error) {
	key, err := parsePrivate(private, passphrase)
	if err != nil {
		return nil, err
	}
	signer, err := newSigner(key)
	if err != nil || certificate.Len() == 0 {
		return signer, err
	}
	return Certify(signer, certificate)
}

// Certify is signer with a user certificate attached: the text of an OpenSSH
// id_…-cert.pub, or its base64 or raw wire form. The certificate must be about
// signer's key and valid now.
func Certify(signer ssh.MultiAlgorithmSigner, certificate secret.Value) (ssh.MultiAlgorithmSigner, error) {
	cert, err := parseCertificate(certificate.Bytes())
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if err := checkCertificate(cert, signer.PublicKey(), time.Now()); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	certified, err := ssh.NewCertSigner(cert, signer)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return ssh.NewSignerWithAlgorithms(certified.(ssh.AlgorithmSigner), signer.Algorithms())
}

// newSigner refuses weak keys and leaves SHA-1 out.
func newSigner(key any) (ssh.MultiAlgorithmSigner, error) {
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, errors.New("privateKey: keys of this type or curve are not supported; use ed25519, ecdsa (P-256, P-384, P-521) or rsa")
	}
	if err := checkPublic(signer.PublicKey()); err != nil {
		return nil, fmt.Errorf("privateKey: %w", err)
	}
	return ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), signatureAlgorithms(signer.PublicKey().Type()))
}

// signatureAlgorithms are those of a plain key type, without SHA-1.
func signatureAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

func parseCertificate(text []byte) (*ssh.Certificate, error) {
	key, err := parsePublic(text)
	if err != nil {
		return nil, fmt.Errorf("%w; it is the text of the file that ends in -cert.pub", err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("it is a public key without a certificate; give the text of the file that ends in -cert.pub")
	}
	return cert, nil
}

func checkCertificate(cert *ssh.Certificate, key ssh.PublicKey, now time.Time) error {
	switch seconds := uint64(now.Unix()); {
	case cert.CertType != ssh.UserCert:
		return errors.New("it is for a host, not for a user")
	case !bytes.Equal(cert.Key.Marshal(), key.Marshal()):
		return fmt.Errorf("it is about another key (%s) than the privateKey (%s)", Fingerprint(cert), Fingerprint(key))
	case seconds < cert.ValidAfter:
		return fmt.Errorf("it is valid only from %s on; look at the clocks", certTime(cert.ValidAfter))
	case cert.ValidBefore != ssh.CertTimeInfinity && seconds >= cert.ValidBefore:
		return fmt.Errorf("%w, on %s; have a new one issued", ErrExpired, certTime(cert.ValidBefore))
	}
	return nil
}

// certTime shows a certificate's time, which may be beyond what has a date.
func certTime(seconds uint64) string {
	const year9999 = 253402300799
	return time.Unix(int64(min(seconds, year9999)), 0).UTC().Format(time.RFC3339)
}
