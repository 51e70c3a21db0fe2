package sshagent

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector/sshkey"
	"secretless/internal/secret"
	"secretless/internal/wire/sshagentwire"
)

// identity is one key, read for one request.
type identity struct {
	signer ssh.MultiAlgorithmSigner
	// certificate is nil where the key has none.
	certificate ssh.PublicKey
	comment     string
	// lifetime is zero where the key has no end.
	lifetime time.Duration
	confirm  bool
}

// publics are what clients see of the key: the certificate first, because they
// try the keys in turn and a server seldom counts a certificate wrong.
func (id *identity) publics() []ssh.PublicKey {
	if id.certificate == nil {
		return []ssh.PublicKey{id.signer.PublicKey()}
	}
	return []ssh.PublicKey{id.certificate, id.signer.PublicKey()}
}

// is says whether the key or its certificate has that wire form.
func (id *identity) is(wire []byte) bool {
	return slices.ContainsFunc(id.publics(), func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), wire) })
}

// algorithm is what to sign with for flags. SHA-1, which flags of zero ask of
// an RSA key, is not among them.
func (id *identity) algorithm(flags uint32) (string, error) {
	switch {
	case flags&^(sshagentwire.FlagRSASHA256|sshagentwire.FlagRSASHA512) != 0:
		return "", fmt.Errorf("the flags %#x are not supported", flags)
	case id.signer.PublicKey().Type() != ssh.KeyAlgoRSA:
		return id.signer.Algorithms()[0], nil
	case flags&sshagentwire.FlagRSASHA256 != 0:
		return ssh.KeyAlgoRSASHA256, nil
	case flags&sshagentwire.FlagRSASHA512 != 0:
		return ssh.KeyAlgoRSASHA512, nil
	}
	return "", errors.New("it asks for ssh-rsa, which is SHA-1; the client must know rsa-sha2-256 or rsa-sha2-512")
}

// readIdentities reads every key of set; one that cannot be read fails all, so
// that it is noticed. The comment of a key without one is service.
func readIdentities(set *secret.Set, service string) ([]identity, error) {
	var out []identity
	for _, number := range numbers() {
		names := keysOf(number, func(name string) bool { v, _ := set.Get(name); return v.Len() > 0 })
		for _, name := range names {
			id, err := readIdentity(set, name, number)
			if err != nil {
				return nil, fmt.Errorf("credentials of the service, key %s: %w", name, err)
			}
			if id.comment == "" {
				id.comment = service
			}
			out = append(out, id)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("credentials of the service: every private key is empty")
	}
	return out, nil
}

func readIdentity(set *secret.Set, name, number string) (id identity, err error) {
	private, _ := set.Get(name)
	passphrase, _ := set.Get("passphrase" + number)
	certificate, _ := set.Get("certificate" + number)
	id.comment = set.Text("comment"+number, "")
	if id.lifetime, err = parseLifetime(set.Text("lifetime"+number, "")); err != nil {
		return id, fmt.Errorf("lifetime: %w", err)
	}
	if id.confirm, err = parseConfirm(set.Text("confirm"+number, "")); err != nil {
		return id, fmt.Errorf("confirm: %w", err)
	}
	if id.signer, err = sshkey.Signer(private, passphrase, secret.Value{}); err != nil {
		return id, err
	}
	if got := id.signer.PublicKey().Type(); !fits(name[:len(name)-len(number)], got) {
		return id, fmt.Errorf("it is a key of type %s; name the credential privateKey%s", got, number)
	}
	if certificate.Len() == 0 {
		return id, nil
	}
	certified, err := sshkey.Certify(id.signer, certificate)
	if err != nil {
		return id, err
	}
	id.certificate = certified.PublicKey()
	return id, nil
}

// fits says whether a credential of that kind may hold a key of keyType.
func fits(kind, keyType string) bool {
	switch kind {
	case "rsa":
		return keyType == ssh.KeyAlgoRSA
	case "ecdsa":
		return keyType == ssh.KeyAlgoECDSA256 || keyType == ssh.KeyAlgoECDSA384 || keyType == ssh.KeyAlgoECDSA521
	case "ed25519":
		return keyType == ssh.KeyAlgoED25519
	}
	return true
}

func parseLifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, errors.New("it is a whole number of seconds; 0 is for ever")
	}
	return time.Duration(seconds) * time.Second, nil
}

func parseConfirm(text string) (bool, error) {
	switch text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, errors.New("it is true or false")
}
