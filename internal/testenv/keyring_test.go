package testenv_test

import (
	"testing"

	"secretless/internal/testenv"
)

func TestKeyring(t *testing.T) {
	k := testenv.NewKeyring(t)
	k.Store(t, "value", "service", "a", "username", "b")
	lookup := func() string {
		t.Helper()
		out, _ := testenv.Command(t, k.Env(), testenv.Tool(t, "secret-tool"), "lookup", "service", "a", "username", "b")
		return out
	}
	if got := lookup(); got != "value" {
		t.Errorf("got %q", got)
	}
	k.Lock(t)
	k.Restart(t) // opens it
	if got := lookup(); got != "value" {
		t.Errorf("after a restart: %q", got)
	}
}
