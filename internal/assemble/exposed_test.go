package assemble_test

import (
	"log/slog"
	"slices"
	"testing"

	"secretless/internal/assemble"
)

// Validation shows that a provider is asked over a network in the clear, with
// the place of the setting, or of the first use of a built-in provider.
func TestExposedProviders(t *testing.T) {
	const text = `version: "2"
services:
  db:
    connector: pg
    listenOn: unix:///tmp/db.sock
    credentials:
      host: x
      username: { from: secrets, get: "db#username" }
      password: { from: vault, get: "secret/db#password" }
providers:
  secrets:
    type: aws
    endpoint: http://aws.internal
    assumeRole:
      roleARN: arn:aws:iam::123456789012:role/broker
      endpoint: http://sts.internal:4566
`
	a := assemble.New(assemble.Options{Log: slog.New(slog.DiscardHandler), LookupEnv: func(name string) (string, bool) {
		if name == "VAULT_ADDR" {
			return "http://vault.internal:8200", true
		}
		return "", false
	}})
	defer a.Close()
	file, err := a.Parse("s.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	built, err := a.Build(file)
	if err != nil {
		t.Fatal(err)
	}
	defer built.Discard()
	var got []string
	for _, w := range built.Warnings {
		got = append(got, w.String())
	}
	const advice = " is asked without TLS: who can listen gets credentials and secrets; use https"
	want := []string{
		`s.yml:9:25: provider "vault": Vault at vault.internal:8200` + advice,
		`s.yml:13:5: provider "secrets": AWS (SECRETS_MANAGER) at aws.internal` + advice,
		`s.yml:16:7: provider "secrets": AWS (STS) at sts.internal:4566` + advice,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
