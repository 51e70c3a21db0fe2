package sshkey

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// parsePublic reads one public key or certificate: a line of authorized_keys
// without options, its base64 alone, or the raw wire form.
func parsePublic(text []byte) (ssh.PublicKey, error) {
	if isWire(text) {
		return parseWire(text)
	}
	switch fields := strings.Fields(string(bytes.TrimSpace(text))); len(fields) {
	case 0:
		return nil, errors.New("it is empty")
	case 1:
		return parseBase64(fields[0], "")
	default:
		return parseBase64(fields[1], fields[0])
	}
}

// isWire says whether text is RFC 4253's wire form: it starts with the length
// of a short name, which no text does.
func isWire(text []byte) bool { return len(text) > 4 && text[0] == 0 && text[1] == 0 }

// parseBase64 reads a key of type wantType, or of any where that is empty.
func parseBase64(text, wantType string) (ssh.PublicKey, error) {
	wire, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the key is not base64; is it cut off?")
	}
	key, err := parseWire(wire)
	if err == nil && wantType != "" && key.Type() != wantType {
		return nil, fmt.Errorf("the line says %q and holds a key of type %s", wantType, key.Type())
	}
	return key, err
}

func parseWire(wire []byte) (ssh.PublicKey, error) {
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, errors.New("the key cannot be read: it is cut off or of a type that is not supported")
	}
	return key, nil
}

// isKey says whether a word is a key's base64: each begins with the length of
// its type's name, below 65536.
func isKey(word string) bool { return strings.HasPrefix(word, "AAAA") }

func rsaBits(key ssh.PublicKey) int {
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok {
			return k.N.BitLen()
		}
	}
	return 0
}

// ParseFingerprint reads a host's key (a line of authorized_keys or its
// base64) or the SHA256 fingerprint of one, and returns the fingerprint.
func ParseFingerprint(text string) (string, error) {
	text = strings.TrimSpace(text)
	if digest, ok := strings.CutPrefix(text, "SHA256:"); ok {
		sum, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(digest, "="))
		if err != nil || len(sum) != sha256.Size {
			return "", errors.New("the fingerprint is not SHA256: and 43 letters of base64; is it cut off?")
		}
		return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum), nil
	}
	key, err := parsePublic([]byte(text))
	if err != nil {
		return "", fmt.Errorf("%w; it is a host's key, as in the files /etc/ssh/ssh_host_*_key.pub, or its fingerprint SHA256:…", err)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return "", errors.New("it is a certificate; give the host's key itself")
	}
	return Fingerprint(key), checkPublic(key)
}
