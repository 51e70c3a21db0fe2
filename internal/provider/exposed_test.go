package provider_test

import (
	"strings"
	"testing"

	"secretless/internal/provider"
)

func TestExposed(t *testing.T) {
	for text, want := range map[string]string{
		"http://vault.internal:8200": "vault.internal:8200",
		"HTTP://user:x@192.0.2.1/a":  "192.0.2.1",
		"http://[2001:db8::1]":       "[2001:db8::1]",
		"http://localhost.internal":  "localhost.internal",
		"https://vault.internal":     "",
		"http://127.0.0.1:8200":      "",
		"http://127.9.9.9":           "",
		"http://[::1]:8200":          "",
		"http://[::ffff:127.0.0.1]":  "",
		"http://Localhost:8200":      "",
		"unix:///run/agent.sock":     "",
		"":                           "",
		"http://%zz":                 "",
	} {
		var warning string
		provider.WarnExposed(provider.Setup{Warn: func(text string, path ...string) {
			warning = text + " " + strings.Join(path, ".")
		}}, "Vault", text, "auth", "address")
		if want != "" {
			want = "Vault at " + want + " is asked without TLS: who can listen gets credentials and secrets; use https auth.address"
		}
		if warning != want {
			t.Errorf("%s: got %q, want %q", text, warning, want)
		}
		provider.WarnExposed(provider.Setup{}, "Vault", text)
	}
}
