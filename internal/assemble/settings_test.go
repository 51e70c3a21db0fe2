package assemble_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"secretless/internal/assemble"
	"secretless/internal/provider"
	"secretless/internal/provider/env"
)

// chain is a service whose provider has a token of a second one, which has one
// of a third. The file has them in the wrong order.
const chain = `version: "2"
services:
  one:
    connector: strict
    listenOn: tcp://127.0.0.1:15432
    credentials: { host: x, password: { from: top, get: token } }
providers:
  top: { type: vault, token: { from: middle, get: token } }
  middle: { type: vault, token: { from: bottom, get: token } }
  bottom: { type: vault, token: TOKEN }
`

func chainOf(token string) string { return strings.ReplaceAll(chain, "TOKEN", token) }

func passwordOf(t *testing.T, b *assemble.Built) string {
	t.Helper()
	set, err := b.Services[0].Credentials.Get(t.Context())
	if err != nil {
		return err.Error()
	}
	defer set.Wipe()
	return set.Text("password", "")
}

func TestSecretSettingsOfOtherProviders(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	first := mustBuild(t, a, chainOf("sesame"))
	apply(nil, first)
	if got := passwordOf(t, first); got != "sesame" {
		t.Fatalf("got %s", got)
	}
	// The same again: nothing is made anew.
	same := mustBuild(t, a, chainOf("sesame"))
	if carried := apply(first, same); carried != 1 || c.made("provider bottom") != 1 || c.made("provider top") != 1 {
		t.Errorf("%d carried over, %v", carried, c.built)
	}
	// A change at the bottom changes everything above it.
	changed := mustBuild(t, a, chainOf("open"))
	old := same.Services[0]
	changed.Commit()
	if changed.Services[0].Digest == old.Digest {
		t.Error("the service does not notice that its provider's provider has changed")
	}
	for _, name := range []string{"provider top", "provider middle", "provider bottom"} {
		if n := c.alive(name); n != 2 { // the old service still drains
			t.Errorf("%d of %s", n, name)
		}
	}
	if got := passwordOf(t, same); got != "sesame" {
		t.Errorf("old service: %s", got)
	}
	if got := passwordOf(t, changed); got != "open" {
		t.Errorf("new service: %s", got)
	}
	closeAsBroker(same, 0)
	closeAsBroker(changed, 0)
	for _, name := range []string{"provider top", "provider middle", "provider bottom"} {
		if n := c.alive(name); n != 1 { // the assembler's own
			t.Errorf("%d of %s", n, name)
		}
	}
	a.Close()
	for _, name := range []string{"provider top", "provider middle", "provider bottom"} {
		if n := c.alive(name); n != 0 {
			t.Errorf("%d of %s", n, name)
		}
	}
}

// What goes wrong below is said with the names on the way to it.
func TestFailingSecretSetting(t *testing.T) {
	c := newCensus()
	providers := c.providers()
	providers["env"] = env.Definition()
	a := assemble.New(assemble.Options{
		LookupEnv: func(string) (string, bool) { return "", false }, Log: slog.New(slog.DiscardHandler),
		Connectors: c.connectors(), Providers: providers,
	})
	defer a.Close()
	built := mustBuild(t, a, chainOf("{ from: env, get: TOKEN_VARIABLE }"))
	defer built.Discard()
	want := "provider top: token: provider middle: token: provider bottom: token: provider env: TOKEN_VARIABLE: " + env.ErrNotSet.Error()
	if got := passwordOf(t, built); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// An entry named like a built-in provider stands for it everywhere.
func TestBuiltInNameIsReplaced(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	built := mustBuild(t, a, head+"    credentials: { host: { from: fake, get: token }, password: { from: vault, get: token } }\n"+
		"providers:\n  vault: { type: vault, token: of-vault }\n  fake: { type: fake, token: of-fake }\n")
	defer built.Discard()
	set, err := built.Services[0].Credentials.Get(t.Context())
	if err != nil || set.Text("host", "") != "of-fake" || set.Text("password", "") != "of-vault" {
		t.Errorf("got %v", err)
	}
	set.Wipe()
}

// A provider that decodes another type than its definition says is told so.
func TestStraySecretSetting(t *testing.T) {
	c := newCensus()
	providers := c.providers()
	d := provider.Define(provider.Definition{Ref: "any"}, func(struct {
		Token string `yaml:"token"`
	}, provider.Setup,
	) (provider.Provider, error) {
		return nil, errors.New("not reached")
	})
	d.Build = providers["vault"].Build
	providers["vault"] = d
	a := assemble.New(assemble.Options{LookupEnv: func(string) (string, bool) { return "", false }, Log: slog.New(slog.DiscardHandler), Connectors: c.connectors(), Providers: providers})
	defer a.Close()
	_, err := build(t, a, head+"    credentials: { host: x }\nproviders:\n  mine: { type: vault, token: sesame }\n")
	if err == nil || err.Error() != "s.yml:8:3: token is no setting of the provider's definition" {
		t.Errorf("got %v", err)
	}
}

func TestLiteralSetting(t *testing.T) {
	s := provider.LiteralSetting("sesame")
	for range 2 {
		v, err := s.Get(context.Background())
		if err != nil || string(v.Bytes()) != "sesame" || !s.IsSet() {
			t.Errorf("got %v", err)
		}
		v.Wipe()
		s.Forget()
	}
	s.Close()
	if _, err := s.Get(t.Context()); err == nil {
		t.Error("a closed setting answers")
	}
	var none provider.SecretSetting
	if v, err := none.Get(t.Context()); err != nil || v.Len() != 0 || none.IsSet() {
		t.Errorf("zero: %v", err)
	}
	none.Forget()
	none.Close()
}
