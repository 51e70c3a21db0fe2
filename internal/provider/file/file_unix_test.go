//go:build unix

package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"secretless/internal/provider/file"
)

// Opening a named pipe waits for a writer that may never come.
func TestSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, link, "/dev/null", "/dev/zero"} {
		if _, err := fetch(t, false, path); !errors.Is(err, file.ErrNotRegular) {
			t.Errorf("%s: got %v, want %v", path, err, file.ErrNotRegular)
		}
	}
}

func TestUnreadable(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), []byte("v"))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	_, err := fetch(t, false, path)
	if want := "provider file: " + path + ": permission denied; let the broker's user read it, and pass the directories above it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
