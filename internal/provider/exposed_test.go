package provider_test

import (
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
		if got := provider.Exposed(text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
