package provider

import (
	"context"

	"secretless/internal/secret"
)

// settingName is the credential's name in the set that a SecretSetting reads.
const settingName = "setting"

// SecretSetting is a secret that configures a provider: a token, an API key. It
// is a field of the provider's config struct, with a yaml tag like any other;
// the file says it as a scalar, or as {from, get} of another provider. It is
// read when it is needed, through the other provider's cache and deadline, and
// not by a Factory, which runs for validation too.
//
// The zero value is a setting that the file leaves out. Copies share what they
// read. Safe for concurrent use.
type SecretSetting struct{ from *Credentials }

// LiteralSetting is a setting whose value is text: what tests put where a file
// would have a scalar.
func LiteralSetting(text string) SecretSetting {
	return SecretSetting{NewCredentials("test", []Ref{{Name: settingName, Literal: secret.Copy(text)}}, nil)}
}

// NewSetting is where ref leads to, for the owner of the configuration: a
// literal, which it takes over, or an instance. What it returns belongs to
// InstanceOptions.Settings of the instance whose setting it is. what says in
// errors whose setting it is.
func NewSetting(what string, ref Ref) SecretSetting {
	ref.Name = settingName
	return SecretSetting{NewCredentials(what, []Ref{ref}, nil)}
}

// CredentialSetting says to the decoder that the notation is a credential's.
func (*SecretSetting) CredentialSetting() {}

// IsSet is true if the file has the setting, be its value empty or unreadable.
func (s SecretSetting) IsSet() bool { return s.from != nil }

// Get reads the secret; the caller wipes it. Its error names the provider that
// was asked and the id, never a value, and is ready to be wrapped in an *Error;
// it is transient where a retry may help. A setting that is not set is empty.
func (s SecretSetting) Get(ctx context.Context) (secret.Value, error) {
	if s.from == nil {
		return secret.Value{}, nil
	}
	set, err := s.from.Get(ctx)
	if err != nil {
		return secret.Value{}, err
	}
	v, _ := set.Get(settingName) // the only one: the set is not needed any more
	return v, nil
}

// Forget says that what Get gave was refused, wherever it was used: the next
// Get asks the other provider rather than its cache. Use it once a refusal and
// not in a loop.
func (s SecretSetting) Forget() {
	if s.from != nil {
		s.from.forget()
	}
}

// Close wipes a literal and gives up the other provider.
func (s SecretSetting) Close() {
	if s.from != nil {
		s.from.Close()
	}
}
