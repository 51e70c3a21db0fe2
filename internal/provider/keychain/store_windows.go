package keychain

import (
	"context"
	"errors"
	"fmt"

	"github.com/danieljoos/wincred"

	"secretless/internal/secret"
)

// credentialManager is Windows' store of generic credentials. Its calls look
// into the session's own store and wait for nobody.
type credentialManager struct{}

func newStore(func(string) (string, bool)) store { return credentialManager{} }

func (credentialManager) open(context.Context) (session, error) { return credentialManager{}, nil }
func (credentialManager) close()                                {}

// read takes the credential whose target is service:account, or the one whose
// target is the service if its user is the account.
func (credentialManager) read(_ context.Context, i item) (secret.Value, error) {
	found, err := wincred.GetGenericCredential(i.service + ":" + i.account)
	if errors.Is(err, wincred.ErrElementNotFound) {
		found, err = wincred.GetGenericCredential(i.service)
		if err == nil && found.UserName != i.account {
			clear(found.CredentialBlob)
			return secret.Value{}, errNotFound
		}
	}
	switch {
	case errors.Is(err, wincred.ErrElementNotFound):
		return secret.Value{}, errNotFound
	case err != nil:
		return secret.Value{}, fmt.Errorf("asking Credential Manager: %w", err)
	}
	return secret.New(fromUTF16(found.CredentialBlob)), nil
}
