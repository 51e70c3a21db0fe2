package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Files as people have them from the old broker.
func TestFilesOfTheOldBroker(t *testing.T) {
	files, err := filepath.Glob("testdata/v2/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		f, err := load(path, offline(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var warnings strings.Builder
		for _, w := range f.Warnings {
			warnings.WriteString(w.String() + "\n")
		}
		golden(t, strings.TrimSuffix(path, ".yml")+".golden", warnings.String())
	}
}

func TestLoad(t *testing.T) {
	opts := offline()
	stdin := strings.NewReader(service(listenHere))
	if f, err := load("-", opts, stdin); err != nil || f.Name != "<stdin>" {
		t.Errorf("stdin: %v", err)
	}
	stdin = strings.NewReader("#" + strings.Repeat("x", 2*maxFile))
	if _, err := load("-", opts, stdin); err == nil || err.Error() != "<stdin>: the file has more than 1024 KiB" {
		t.Errorf("long: %v", err)
	}
	if _, err := load(t.TempDir(), opts, nil); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: %v", err)
	}
	if _, err := load(filepath.Join(t.TempDir(), "x"), opts, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestFind(t *testing.T) {
	home := t.TempDir()
	t.Chdir(t.TempDir())
	inHome := filepath.Join(home, ".secretless.yml")
	if err := os.WriteFile(inHome, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(home); err != nil || got != inHome {
		t.Errorf("%s %v", got, err)
	}
	if err := os.WriteFile("secretless.yml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(home); err != nil || got != "secretless.yml" {
		t.Errorf("%s %v", got, err)
	}
	_, err := findIn([]string{"a", "b"})
	if !errors.Is(err, ErrNotFound) || err.Error() != "no configuration: none of a, b exists; name one with -f FILE" {
		t.Error(err)
	}
}

// load is what a program does with Read and Parse.
func load(path string, opts Options, stdin io.Reader) (*File, error) {
	name, data, err := Read(path, stdin)
	if err != nil {
		return nil, err
	}
	return Parse(name, data, opts)
}
