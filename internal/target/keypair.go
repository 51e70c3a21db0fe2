package target

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"

	"secretless/internal/secret"
)

// The errors of a client certificate. What crypto/tls and crypto/x509 say is
// dropped: their texts may quote what they read.
var (
	errCertWithoutKey = errors.New("sslcert is set but sslkey is not")
	errKeyWithoutCert = errors.New("sslkey is set but sslcert is not")
	errNoCert         = errors.New("sslcert holds no PEM certificate; it is the text of the certificate, not the path of a file")
	errNoKey          = errors.New("sslkey holds no PEM private key; it is the text of the key, not the path of a file")
	errEncryptedKey   = errors.New("sslkey is encrypted with a passphrase; store it decrypted in the provider")
	errKeyMismatch    = errors.New("sslkey does not belong to the first certificate of sslcert, or one of them is damaged")
)

func addCertificate(config *tls.Config, cert, key secret.Value) error {
	switch {
	case cert.Len() == 0 && key.Len() == 0:
		return nil
	case key.Len() == 0:
		return errCertWithoutKey
	case cert.Len() == 0:
		return errKeyWithoutCert
	}
	if block := findBlock(cert.Bytes(), []byte("CERTIFICATE")); block == nil {
		return errNoCert
	}
	block := findBlock(key.Bytes(), []byte("PRIVATE KEY"))
	if block == nil {
		return errNoKey
	}
	encrypted := block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""
	clear(block.Bytes)
	if encrypted {
		return errEncryptedKey
	}
	pair, err := tls.X509KeyPair(cert.Bytes(), key.Bytes())
	if err != nil {
		return errKeyMismatch
	}
	config.Certificates = []tls.Certificate{pair}
	return nil
}

// findBlock is the first PEM block whose type ends in suffix, nil if none.
func findBlock(text, suffix []byte) *pem.Block {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil
		}
		if bytes.HasSuffix([]byte(block.Type), suffix) {
			return block
		}
	}
}
