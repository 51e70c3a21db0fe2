//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What came through a pipe is gone: a second read would find nothing, or wait
// for ever, and says so instead.
func TestPipeIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(path, []byte("version: 2"), 0o600) }()
	s := &fileSource{path: path}
	src, err := s.read()
	if err != nil || string(src.data) != "version: 2" {
		t.Fatalf("%q, %v", src.data, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if _, err := s.read(); err == nil || !strings.Contains(err.Error(), "cannot be read twice; restart the broker") {
		t.Errorf("got %v", err)
	}
}
