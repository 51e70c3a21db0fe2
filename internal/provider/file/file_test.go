package file_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/file"
	"secretless/internal/provider/providertest"
)

func build(t *testing.T, s provider.Setup, trim bool) provider.Provider {
	t.Helper()
	s.Decode = func(into any) error {
		into.(*file.Config).Trim = trim
		return nil
	}
	p, err := file.Definition().Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Config{
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			dir, refs := t.TempDir(), map[string]string{}
			for name, v := range values {
				refs[name] = write(t, filepath.Join(dir, name), v)
			}
			return providertest.Source{Provider: build(t, s, false), Refs: refs, Missing: filepath.Join(dir, "missing")}
		},
	})
}

func fetch(t *testing.T, trim bool, path string) ([]byte, error) {
	t.Helper()
	leases, err := build(t, provider.Setup{Name: "file"}, trim).Fetch(t.Context(), []string{path})
	return leases[path].Value.Bytes(), err
}

func TestTrim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for in, want := range map[string]string{
		"":           "",
		"a":          "a",
		"a\n":        "a",
		"a\r\n":      "a",
		"a\n\n":      "a\n",
		"a\r\n\r\n":  "a\r\n",
		"a\r":        "a\r",
		"\n":         "",
		" \ta \n":    " \ta ",
		"\xff\x00\n": "\xff\x00",
	} {
		write(t, path, []byte(in))
		if got, err := fetch(t, true, path); err != nil || string(got) != want {
			t.Errorf("%q with trim: got %q, %v; want %q", in, got, err, want)
		}
		if got, err := fetch(t, false, path); err != nil || string(got) != in {
			t.Errorf("%q without trim: got %q, %v", in, got, err)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	large := write(t, filepath.Join(dir, "large"), bytes.Repeat([]byte("x"), 1<<20+1))
	for path, want := range map[string]error{
		dir:                         file.ErrNotRegular,
		large:                       file.ErrTooLarge,
		filepath.Join(dir, "gone"):  os.ErrNotExist,
		filepath.Join(large, "sub"): nil, // ENOTDIR has no name of its own
		"a\x00b":                    nil,
	} {
		_, err := fetch(t, false, path)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", path, err, want)
			continue
		}
		if n := strings.Count(err.Error(), path); n != 1 {
			t.Errorf("error names the path %d times: %v", n, err)
		}
	}
}

func TestLargestFile(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), bytes.Repeat([]byte("x"), 1<<20))
	if got, err := fetch(t, false, path); err != nil || len(got) != 1<<20 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "rel", []byte("v"))
	if got, err := fetch(t, false, "rel"); err != nil || string(got) != "v" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Kubernetes replaces a mounted secret by renaming a symlink over ..data. A
// user name of one version must never come with a password of another.
func TestSwappedTogether(t *testing.T) {
	dir := t.TempDir()
	version := func(n int) string {
		d := filepath.Join(dir, fmt.Sprintf("v%d", n))
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"password", "username"} {
			write(t, filepath.Join(d, name), fmt.Appendf(nil, "version-%d", n))
		}
		return d
	}
	swap := func(n int) {
		if err := os.Symlink(version(n), filepath.Join(dir, "tmp")); err != nil {
			t.Skip("no symlinks here:", err)
		}
		if err := os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Error(err)
		}
	}
	swap(0)
	user, password := filepath.Join(dir, "..data", "username"), filepath.Join(dir, "..data", "password")

	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for n := 1; n < 500; n++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				swap(n)
			}
		}
	})
	p := build(t, provider.Setup{Name: "file"}, false)
	for range 2000 {
		leases, err := p.Fetch(t.Context(), []string{password, user})
		if errors.Is(err, file.ErrChanging) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !leases[user].Value.Equal(leases[password].Value) {
			t.Fatalf("mixed versions: %q and %q", leases[user].Value.Bytes(), leases[password].Value.Bytes())
		}
	}
	close(stop)
	swapper.Wait()
}
