// Package keychain is the provider that reads the keychain of whoever runs the
// broker: the Secret Service on Linux, macOS' Keychain, Windows' Credential
// Manager.
package keychain

import (
	"context"
	"errors"
	"strings"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// Reasons for failing that are the same on every system.
var (
	errNotFound = errors.New("the keychain has no such item; check the service and the account of the id, and the user that the broker runs as")
	errLocked   = errors.New("the keychain is locked: unlock it, by logging in to the desktop or with the system's own program; the broker asks nobody for its password")
)

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary: "the keychain of the user who runs the broker: Secret Service, macOS Keychain, Windows Credential Manager",
		Ref:     refForm,
		Cache:   time.Minute,
		CheckRef: func(id string) error {
			_, err := parseItem(id)
			return err
		},
	}, func(_ struct{}, s provider.Setup) (provider.Provider, error) {
		return newKeychain(s.Name, newStore(s.LookupEnv)), nil
	})
}

const refForm = "service#account"

// item is what an id names.
type item struct{ service, account string }

// parseItem takes what the old broker took: one # between two names.
func parseItem(id string) (item, error) {
	service, account, ok := strings.Cut(id, "#")
	switch {
	case id == "":
		return item{}, errors.New("id is empty: write " + refForm)
	case !ok || strings.Contains(account, "#"):
		return item{}, errors.New("id must have one # between service and account: write " + refForm)
	case service == "" || account == "":
		return item{}, errors.New("service or account is empty: write " + refForm)
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return item{}, errors.New("service and account cannot have control characters")
	}
	return item{service, account}, nil
}

// store is the keychain of a system.
type store interface {
	// open prepares one lookup, whose deadline ctx carries.
	open(ctx context.Context) (session, error)
}

// session is one lookup.
type session interface {
	// read returns the value of an item. The caller owns it.
	read(ctx context.Context, i item) (secret.Value, error)
	close()
}

// transientError is a failure that another try may mend.
type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

type keychain struct {
	instance string
	store    store
	// turn is held by the lookup that asks: gnome-keyring has died of many at
	// once, and with it everybody's passwords were locked.
	turn chan struct{}
}

func newKeychain(instance string, s store) *keychain {
	return &keychain{instance, s, make(chan struct{}, 1)}
}

// Fetch reads the items one after the other: a keychain has no versions.
func (k *keychain) Fetch(ctx context.Context, ids []string) (map[string]provider.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, k.fail(ids, err)
	}
	out := make(map[string]provider.Lease, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, k.fail(ids, context.Cause(ctx))
	}
	s, err := k.store.open(ctx)
	if err != nil {
		return nil, k.fail(ids, because(ctx, err))
	}
	defer s.close()
	for _, id := range ids {
		value, err := k.readOne(ctx, s, id)
		if err != nil {
			for _, l := range out {
				l.Value.Wipe()
			}
			return nil, k.fail([]string{id}, because(ctx, err))
		}
		out[id] = provider.Lease{Value: value}
	}
	return out, nil
}

func (k *keychain) readOne(ctx context.Context, s session, id string) (secret.Value, error) {
	i, err := parseItem(id)
	if err != nil {
		return secret.Value{}, err
	}
	return s.read(ctx, i)
}

// because is the end of ctx where that is what ended a call, however the call
// puts it.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (k *keychain) fail(ids []string, err error) error {
	_, transient := errors.AsType[transientError](err)
	return &provider.Error{Provider: k.instance, Ref: strings.Join(ids, ", "), Err: err, Transient: transient}
}
