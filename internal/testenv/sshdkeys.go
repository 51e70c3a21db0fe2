package testenv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"os/user"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHKey is a pair: the private half in OpenSSH's format, the public one as a
// line of authorized_keys, with its newline.
type SSHKey struct{ Private, Public string }

// SSHKeys are the users' keys of a test process.
type SSHKeys struct {
	// What every server takes, by type.
	Ed25519, RSA, ECDSA256, ECDSA384, ECDSA521 SSHKey
	// Locked is Ed25519's key once more, its private half encrypted.
	Locked SSHKey
	// Passphrase is what opens Locked.
	Passphrase string
	// Forced may only run a command that prints "forced: " and what was asked
	// for, and may forward nothing.
	Forced SSHKey
	// Unknown is a key that no server takes.
	Unknown SSHKey
	// Certified is taken with Certificate alone, which servers trust. The
	// latter is a line like a public key.
	Certified   SSHKey
	Certificate string
	// Expired is another certificate for Certified, of the past.
	Expired string

	ca SSHKey
}

func newSSHKeys() (*SSHKeys, error) {
	k := &SSHKeys{Passphrase: rand.Text()}
	for kind, into := range map[string]*SSHKey{
		"ed25519": &k.Ed25519, "rsa": &k.RSA, "ecdsa": &k.ECDSA256, "ecdsa384": &k.ECDSA384, "ecdsa521": &k.ECDSA521,
	} {
		var err error
		if *into, err = newSSHKey(kind); err != nil {
			return nil, err
		}
	}
	for _, into := range []*SSHKey{&k.Forced, &k.Unknown, &k.Certified, &k.ca} {
		var err error
		if *into, err = newSSHKey("ed25519"); err != nil {
			return nil, err
		}
	}
	if err := k.lock(); err != nil {
		return nil, err
	}
	return k, k.certify()
}

// authorized is the file authorized_keys.
func (k *SSHKeys) authorized() string {
	forced := `restrict,command="echo forced: $SSH_ORIGINAL_COMMAND" `
	return strings.Join([]string{
		k.Ed25519.Public, k.RSA.Public, k.ECDSA256.Public, k.ECDSA384.Public, k.ECDSA521.Public, forced + k.Forced.Public,
	}, "")
}

func newSSHKey(kind string) (SSHKey, error) {
	var key crypto.Signer
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	}
	if err != nil {
		return SSHKey{}, fmt.Errorf("make an SSH key (%s): %w", kind, err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return SSHKey{}, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return SSHKey{}, err
	}
	return SSHKey{Private: string(pem.EncodeToMemory(block)), Public: string(ssh.MarshalAuthorizedKey(public))}, nil
}

func (k *SSHKeys) lock() error {
	key, err := ssh.ParseRawPrivateKey([]byte(k.Ed25519.Private))
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(k.Passphrase))
	if err != nil {
		return err
	}
	k.Locked = SSHKey{Private: string(pem.EncodeToMemory(block)), Public: k.Ed25519.Public}
	return nil
}

// certify makes both certificates, for whoever runs the tests.
func (k *SSHKeys) certify() error {
	who, err := user.Current()
	if err != nil {
		return err
	}
	authority, err := ssh.ParsePrivateKey([]byte(k.ca.Private))
	if err != nil {
		return err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.Certified.Public))
	if err != nil {
		return err
	}
	now := time.Now()
	for into, until := range map[*string]time.Time{&k.Certificate: now.Add(24 * time.Hour), &k.Expired: now.Add(-time.Hour)} {
		certificate := &ssh.Certificate{
			Key: public, CertType: ssh.UserCert, KeyId: "test", ValidPrincipals: []string{who.Username},
			ValidAfter: uint64(now.Add(-48 * time.Hour).Unix()), ValidBefore: uint64(until.Unix()),
			Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": ""}},
		}
		if err := certificate.SignCert(rand.Reader, authority); err != nil {
			return err
		}
		*into = string(ssh.MarshalAuthorizedKey(certificate))
	}
	return nil
}
