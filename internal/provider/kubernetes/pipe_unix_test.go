//go:build unix

package kubernetes

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A named pipe is refused before it is opened, which would wait for whoever
// writes to it.
func TestTokenInAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	p := build(t, Config{Server: "https://127.0.0.1:1", TokenFile: path}, nil)
	check(t, p, "db#password", "reading "+path+": not a regular file", false)
}
