package sshagent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/sshkey"
	"secretless/internal/wire/sshagentwire"
)

// refusal is why a signature is not given, while the connection goes on.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// sign answers a sign request. A refusal is told to the log; the protocol has
// no place for reasons.
func (v *conversation) sign(ctx context.Context, body []byte) ([]byte, error) {
	request, err := sshagentwire.ParseSignRequest(body)
	if err != nil {
		return malformed(err)
	}
	signature, err := v.signature(ctx, request)
	if refused, ok := errors.AsType[refusal](err); ok {
		v.session.Log.Warn("signature refused", "purpose", purposeOf(request.Data, v.bindings.destination()).String(), "reason", refused)
		return v.refuse(sshagentwire.Frame(sshagentwire.Failure))
	}
	if err != nil {
		return failure(err)
	}
	v.signatures++
	return sshagentwire.Signature(signature), nil
}

// signature decides by what costs nothing first, asks somebody last, and
// writes the audit before the key is used.
func (v *conversation) signature(ctx context.Context, request sshagentwire.SignRequest) ([]byte, error) {
	if err := v.permitted(request); err != nil {
		return nil, refusal{err}
	}
	id, err := v.identity(ctx, request.Key)
	if err != nil {
		return nil, err
	}
	algorithm, err := id.algorithm(request.Flags)
	if err != nil {
		return nil, refusal{err}
	}
	use := use{id: id, purpose: purposeOf(request.Data, v.bindings.destination())}
	if id.confirm {
		// Somebody may think for longer than a handshake may take.
		v.session.Established()
		if err := v.connector.confirm(ctx, v.session, use); err != nil {
			return nil, refusal{err}
		}
	}
	if err := v.session.Used(ctx, use.String()); err != nil {
		return nil, refusal{err}
	}
	signature, err := id.signer.SignWithAlgorithm(rand.Reader, request.Data, algorithm)
	if err != nil {
		return nil, &connector.Failure{Kind: connector.KindInternal, Err: fmt.Errorf("signing with the key %s failed", use.fingerprint())}
	}
	return ssh.Marshal(signature), nil
}

// permitted judges a request before any key is fetched.
func (v *conversation) permitted(request sshagentwire.SignRequest) error {
	if err := v.barred(); err != nil {
		return err
	}
	if limit := v.connector.config.MaxSignatures; limit > 0 && v.signatures >= limit {
		return fmt.Errorf("the connection has had the %d signatures of maxSignatures", limit)
	}
	if v.connector.config.bound() {
		return checkDestination(request, v.bindings.destination())
	}
	return nil
}

func (v *conversation) identity(ctx context.Context, wire []byte) (*identity, error) {
	found, err := v.connector.identities(ctx, v.session)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(found, func(id identity) bool { return id.is(wire) })
	if i < 0 {
		return nil, refusal{errors.New("there is no such key; it may have been replaced since it was listed, or its lifetime is over")}
	}
	return &found[i], nil
}

// use is one signature, for the audit and for whoever confirms it.
type use struct {
	id      *identity
	purpose purpose
}

func (u use) fingerprint() string { return sshkey.Fingerprint(u.id.signer.PublicKey()) }

// String says which key is used for what.
func (u use) String() string {
	return fmt.Sprintf("%s %s: %s", u.fingerprint(), quote(u.id.comment), u.purpose)
}
