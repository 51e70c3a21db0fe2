package summon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestFiles(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := NewFiles([]string{"", "/no/such/place"})
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, content := range []string{"one\x00", ""} {
		path, err := f.Write([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
		paths = append(paths, path)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]fs.FileMode{paths[0]: 0o600, filepath.Dir(paths[0]): 0o700 | fs.ModeDir} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
	}
	// Another process leaves ours alone and removes what nobody holds.
	dead := filepath.Join(os.TempDir(), prefix+"dead")
	foreign := filepath.Join(os.TempDir(), prefix+"being-made")
	for _, dir := range []string{dead, foreign} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dead, ".lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := NewFiles(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(paths[0]); err != nil {
		t.Error("files of a living process were removed:", err)
	}
	if _, err := os.Stat(dead); runtime.GOOS != "windows" && !errors.Is(err, fs.ErrNotExist) {
		t.Error("files of a dead process are left:", err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error("a directory that is being made was removed:", err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(paths[0])); !errors.Is(err, fs.ErrNotExist) {
		t.Error("files are left:", err)
	}
	if err := (*Files)(nil).Remove(); err != nil {
		t.Error(err)
	}
}

func TestEnvFile(t *testing.T) {
	got := string(EnvFile(map[string]string{"B": "x y", "A": "plain$", "C": "l1\nl2\"\\", "D": ""}))
	if want := "A=plain$\nB=\"x y\"\nC=\"l1\\nl2\\\"\\\\\"\nD=\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
