//go:build unix

package keyfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)) // whatever the umask
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "0123456789", 0o600)
	if data, err := Read(good, 10, ""); err != nil || string(data) != "0123456789" {
		t.Errorf("%q, %v", data, err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	if data, err := Read(link, 10, ""); err != nil || len(data) != 10 {
		t.Errorf("through a link: %q, %v", data, err)
	}
	if _, err := Read(filepath.Join(dir, "none"), 10, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"more than 9 bytes":                good,
		"no regular file":                  dir,
		"pipe is no regular file":          pipe, // and does not hold up the start
		"by others (mode 0640); chmod go=": file("group", "x", 0o640),
		"by others (mode 0604); chmod go=": file("others", "x", 0o604),
		"by others (mode 0620); chmod go=": file("written", "x", 0o620),
	} {
		if _, err := Read(path, 9, "; chmod go="); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key of somebody else's is known to them, whatever its mode.
func TestFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, 10, ""); err == nil || !strings.Contains(err.Error(), "belongs to another user (uid 65534)") {
		t.Errorf("got %v", err)
	}
}
