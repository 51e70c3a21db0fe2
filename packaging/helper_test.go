package packaging_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/testenv"
)

// release is a directory that script/release has filled.
type release struct {
	t        *testing.T
	dir      string
	unpacked string // the folder of its archive
}

// version is the release's, as its archive is called.
func (r release) version() string {
	name := strings.TrimPrefix(filepath.Base(r.unpacked), "secretless-")
	return "v" + strings.TrimSuffix(name, "-linux-amd64")
}

// only is the one file that matches pattern.
func (r release) only(pattern string) string {
	r.t.Helper()
	found, _ := filepath.Glob(filepath.Join(r.dir, pattern))
	if len(found) != 1 {
		r.t.Fatalf("%d files match %s in %s", len(found), pattern, r.dir)
	}
	return found[0]
}

// skip ends a test that this machine cannot run; CI's must.
func skip(t *testing.T, why string) {
	t.Helper()
	if ci := os.Getenv("CI"); ci != "" && ci != "false" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) { write(t, to, read(t, from)) }

// run runs a program that must succeed, and returns what it says.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := testenv.Command(t, nil, testenv.Tool(t, name), args...)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// program is the release's for this machine's kind, unpacked by unpack.
func (r release) program() string { return filepath.Join(r.unpacked, "secretless") }

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func fileHash(t *testing.T, path string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(read(t, path)))
	return hex.EncodeToString(sum[:])
}
