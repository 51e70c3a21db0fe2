package mysql

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"

	"filippo.io/edwards25519"
)

// The authentication plugins that the broker speaks to targets.
const (
	pluginNative  = "mysql_native_password"
	pluginCaching = "caching_sha2_password"
	pluginSHA256  = "sha256_password"
	pluginClear   = "mysql_clear_password"
	pluginEd25519 = "client_ed25519"
)

func plugins() []string {
	return []string{pluginNative, pluginCaching, pluginSHA256, pluginClear, pluginEd25519}
}

// noPasswordAnswer is what an account without a password answers.
func noPasswordAnswer(plugin string) []byte {
	if plugin == pluginNative {
		return nil
	}
	return []byte{0}
}

// hashNative is SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password))).
func hashNative(password, scramble []byte) []byte {
	once := sha1.Sum(password)
	twice := sha1.Sum(once[:])
	mask := sha1.Sum(slices.Concat(scramble, twice[:]))
	defer clear(once[:])
	return xor(once[:], mask[:])
}

// hashCaching is SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble).
func hashCaching(password, scramble []byte) []byte {
	once := sha256.Sum256(password)
	twice := sha256.Sum256(once[:])
	mask := sha256.Sum256(slices.Concat(twice[:], scramble))
	defer clear(once[:])
	return xor(once[:], mask[:])
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	subtle.XORBytes(out, a, b)
	return out
}

// ed25519Challenge is how much MariaDB's plugin has signed.
const ed25519Challenge = 32

// signEd25519 signs the challenge as MariaDB's plugin does: Ed25519 (RFC 8032,
// 5.1.6) with the password, whatever its length, in the seed's place. That is
// why crypto/ed25519, which takes seeds of 32 bytes, cannot.
func signEd25519(password, challenge []byte) ([]byte, error) {
	digest := sha512.Sum512(password)
	defer clear(digest[:])
	private, err := edwards25519.NewScalar().SetBytesWithClamping(digest[:32])
	if err != nil {
		return nil, err
	}
	nonce, err := hashToScalar(digest[32:], challenge)
	if err != nil {
		return nil, err
	}
	commitment := edwards25519.NewIdentityPoint().ScalarBaseMult(nonce).Bytes()
	public := edwards25519.NewIdentityPoint().ScalarBaseMult(private).Bytes()
	k, err := hashToScalar(commitment, public, challenge)
	if err != nil {
		return nil, err
	}
	proof := edwards25519.NewScalar().MultiplyAdd(k, private, nonce)
	return append(commitment, proof.Bytes()...), nil
}

func hashToScalar(parts ...[]byte) (*edwards25519.Scalar, error) {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	return edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
}

// maxKeyBits bounds the work that a target's public key makes.
const maxKeyBits = 8192

var errNoKey = errors.New("it is no RSA key in PEM of at most 8192 bits")

// parseKey reads the public key that a target encrypts passwords with.
func parseKey(text []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errNoKey
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok || key.N.BitLen() > maxKeyBits {
		return nil, errNoKey
	}
	return key, nil
}

// encryptOAEP encrypts with SHA-1 for the mask, as the protocol has it.
func encryptOAEP(key *rsa.PublicKey, plain []byte) ([]byte, error) {
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, key, plain, nil)
}
