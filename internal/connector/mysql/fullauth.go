package mysql

import (
	"crypto/rsa"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
)

// What caching_sha2_password's client and server say to each other.
const (
	requestKeyCaching = 2
	requestKeySHA256  = 1
	performFullAuth   = 4
)

// fullAuth is caching_sha2_password for an account that the target has not in
// its cache: it wants the password.
func (a *authenticator) fullAuth() error {
	if a.login.private() {
		return a.send(a.cleartext())
	}
	request, err := a.requestKey(requestKeyCaching)
	if err != nil {
		return err
	}
	return a.send(request)
}

// requestKey asks for the key that the password is to be encrypted with. Who
// plays the target names his own, so only somebody who has chosen to do
// without TLS gets this far.
func (a *authenticator) requestKey(request byte) ([]byte, error) {
	if a.login.settings.plan.Mode != target.Disable {
		return nil, database.Failure(connector.KindConfig, "logging in: the target %s wants the password encrypted with a key that nobody has verified (%s without TLS); enable TLS there, or set sslmode to disable if the network is safe", a.login.address(), a.plugin)
	}
	if err := a.inFIPSMode("encrypting the password by RSA with SHA-1, which "+a.plugin+" does without TLS,", "set sslmode to verify-full"); err != nil {
		return nil, err
	}
	a.login.connector.warnRSA.Do(func() {
		a.login.session.Log.Warn("the password is sent to the target encrypted with a public key that nobody has verified; use sslmode verify-full", "target", a.login.address(), "plugin", a.plugin)
	})
	a.awaitsKey = true
	return []byte{request}, nil
}

// encrypted sends the password encrypted with the target's public key.
func (a *authenticator) encrypted(pemKey []byte) error {
	a.awaitsKey, a.full = false, true
	key, err := parseKey(pemKey)
	if err != nil {
		return database.ProtocolError("logging in: the public key of the target %s: %w", a.login.address(), err)
	}
	return a.sendEncrypted(key)
}

func (a *authenticator) sendEncrypted(key *rsa.PublicKey) error {
	scramble, err := a.challenge()
	if err != nil {
		return err
	}
	plain := a.cleartext()
	defer clear(plain)
	for i := range plain {
		plain[i] ^= scramble[i%len(scramble)]
	}
	out, err := encryptOAEP(key, plain)
	if err != nil {
		return database.Failure(connector.KindTarget, "logging in: the password cannot be encrypted with the public key of the target %s, which has %d bits", a.login.address(), key.N.BitLen())
	}
	return a.send(out)
}
