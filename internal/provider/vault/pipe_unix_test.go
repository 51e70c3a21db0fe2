//go:build unix

package vault_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"secretless/internal/provider/vault"
)

// A named pipe is refused before it is opened: it would hold the login, and
// with it every lookup, until somebody writes to it.
func TestTokenInAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, vault.Config{Address: "http://127.0.0.1:1", Auth: vault.Auth{TokenFile: path}})
	s.wantError("secret/x", false, path+" is not a regular file")
}
