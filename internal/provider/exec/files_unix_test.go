//go:build unix

package exec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/provider/exec"
)

// A command that everybody could replace is not run.
func TestWritableByOthers(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir, path string) (argv []string, culprit string)
		want    string
	}{
		"file": {func(t *testing.T, _, path string) ([]string, string) {
			chmod(t, path, 0o777)
			return []string{path}, path
		}, "command is refused: everybody may write to CULPRIT; chmod o-w CULPRIT"},
		"directory": {func(t *testing.T, dir, path string) ([]string, string) {
			chmod(t, dir, 0o777)
			return []string{path}, dir
		}, "command is refused: everybody may write to CULPRIT; chmod o-w CULPRIT"},
		"behind a link": {func(t *testing.T, dir, path string) ([]string, string) {
			chmod(t, dir, 0o777)
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			return []string{link}, dir
		}, "command is refused: everybody may write to CULPRIT; chmod o-w CULPRIT"},
		"link in such a directory": {func(t *testing.T, _, path string) ([]string, string) {
			dir := t.TempDir()
			link := filepath.Join(dir, "link")
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			chmod(t, dir, 0o777)
			return []string{link}, dir
		}, "command is refused: everybody may write to CULPRIT; chmod o-w CULPRIT"},
		"script for an interpreter": {func(t *testing.T, _, path string) ([]string, string) {
			chmod(t, path, 0o666)
			return []string{"/bin/sh", path}, path
		}, "command is refused: everybody may write to CULPRIT; chmod o-w CULPRIT"},
		"sticky directory": {func(t *testing.T, dir, path string) ([]string, string) {
			if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
			return []string{path}, ""
		}, ""},
		"somebody else's in a sticky directory": {func(t *testing.T, dir, path string) ([]string, string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
			return []string{path}, path
		}, "command is refused: CULPRIT belongs to another user, in a directory where everybody may create files"},
	} {
		t.Run(name, func(t *testing.T) {
			path := script(t, `echo '{"a": "b"}'`)
			argv, culprit := c.prepare(t, filepath.Dir(path), path)
			p, _ := instance(t, exec.Config{Command: argv}, nil)
			_, err := p.Fetch(t.Context(), []string{"a"})
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), "provider under-test: ")
			}
			if want := strings.ReplaceAll(c.want, "CULPRIT", culprit); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
