package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustOpen(t *testing.T, path string, o Options) Sink {
	t.Helper()
	s, err := Open([]string{"file://" + filepath.ToSlash(path)}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := mustOpen(t, path, Options{Required: true})
		if err := s.Require(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(content(t, path), "\n"); n%2 != 0 {
			t.Errorf("not written when Require returned: %q", content(t, path))
		}
		s.Record(sample)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.SplitAfter(content(t, path), "\n")
	if len(lines) != 6 || lines[0] != "before\n" {
		t.Fatalf("%q", lines)
	}
	for _, line := range lines[1:5] {
		if plain(t, line) != string(sample.Line()) {
			t.Errorf("%q", line)
		}
	}
}

// What a broker that was killed, or a crash of the machine, has left half
// written does not take the next run's first line with it.
func TestTornFileIsContinuedOnALineOfItsOwn(t *testing.T) {
	for name, before := range map[string]string{
		"empty": "", "whole": "{}\n", "torn": `{"time":"20`, "zeros": "{}\n\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
			s := mustOpen(t, path, Options{Required: true})
			for range 2 {
				if err := s.Require(t.Context(), sample); err != nil {
					t.Fatal(err)
				}
			}
			rest := strings.TrimPrefix(content(t, path), before)
			if before != "" && !strings.HasSuffix(before, "\n") {
				rest = strings.TrimPrefix(rest, "\n")
			}
			lines := strings.SplitAfter(rest, "\n")
			if len(lines) != 3 || plain(t, lines[0]) != string(sample.Line()) {
				t.Errorf("%q", content(t, path))
			}
		})
	}
}

func TestFileModeAndErrors(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir+"/new", Options{})
	if i, err := os.Stat(dir + "/new"); err != nil || runtime.GOOS != "windows" && i.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	const use = "use file:///absolute/path"
	for spec, want := range map[string]string{
		"":                           use,
		"file://relative/path":       use,
		"file:relative":              use,
		"https://example.com/x":      use,
		"syslog://host:514":          use,
		"syslog://" + dir + "/none":  "cannot connect to syslog",
		"file://" + dir:              "is not a regular file",
		"file://" + dir + "/none/x":  "its directory does not exist",
		"file://" + dir + "/new/sub": "not a directory",
	} {
		if s, err := Open([]string{"file://" + dir + "/new", spec}, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", spec, err, want)
			if err == nil {
				_ = s.Close()
			}
		}
	}
	if _, err := Open(nil, Options{}); err == nil {
		t.Error("opened nothing")
	}
}

// Whoever may write to the directory cannot lead the broker to another file,
// neither before it starts nor while it runs.
func TestFileIsNoLink(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "audit"), filepath.Join(dir, "profile")
	if err := os.WriteFile(other, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(to string) {
		if err := os.Symlink(to, path); err != nil {
			if runtime.GOOS == "windows" {
				t.Skip("there making links is a right of its own:", err)
			}
			t.Fatal(err)
		}
	}
	for _, to := range []string{other, filepath.Join(dir, "none")} {
		link(to)
		if s, err := Open([]string{"file://" + path}, Options{}); err == nil || !strings.Contains(err.Error(), path+" is a symbolic link, which is not followed") {
			t.Errorf("a link to %s: %v", to, err)
			if err == nil {
				_ = s.Close()
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	f, err := openFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	// Even one that leads back to the file itself: tomorrow it leads elsewhere.
	moved := filepath.Join(dir, "moved")
	for _, to := range []string{other, moved} {
		if err := os.Rename(path, moved); err != nil && to == other {
			t.Fatal(err)
		}
		link(to)
		f.checked = time.Time{}
		if n, err := f.write([]entry{{line: []byte("{}\n")}}); n != 0 || err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("a link to %s was put in its place: %d, %v", to, n, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if got := content(t, other); got != "mine\n" {
		t.Errorf("written to: %q", got)
	}
	// It goes on where it can.
	if n, err := f.write([]entry{{line: []byte("{}\n")}}); n != 1 || err != nil || content(t, path) != "{}\n" {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

// Who else can remove the file or write to it is said at the start, and stops
// nothing: it may be meant.
func TestFileOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there access lists decide")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "audit")
	for _, c := range []struct {
		dir, file os.FileMode
		want      []string
	}{
		{0o700, 0o600, nil},
		{0o755, 0o640, nil},
		{0o777, 0o600, []string{"others can remove or replace the audit file"}},
		{0o755, 0o666, []string{"others can change what is in the audit file"}},
	} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, c.file), os.Chmod(dir, c.dir)); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		f, err := openFile(path, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		for _, text := range c.want {
			if !strings.Contains(log.String(), text) {
				t.Errorf("%v, %v: nothing of %q in %q", c.dir, c.file, text, log.String())
			}
		}
		if strings.Count(log.String(), "\n") != len(c.want) {
			t.Errorf("%v, %v: %q", c.dir, c.file, log.String())
		}
	}
}

// A tool that rotates logs moves the file away; the next line starts a new one.
func TestFileFollowsItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	f, err := openFile(path, Options{MaxSize: 1000, Keep: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(s string) {
		t.Helper()
		if n, err := f.write([]entry{{line: []byte(s)}}); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	write("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("still one\n")
	write(strings.Repeat("x", 1000) + "\n") // too large, but not ours to move
	f.checked = time.Now().Add(-2 * time.Second)
	write("two\n")
	if old := content(t, path+".1"); !strings.HasPrefix(old, "one\nstill one\nxxx") {
		t.Errorf("old %q", old)
	}
	if now := content(t, path); now != "two\n" {
		t.Errorf("new %q", now)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	s := mustOpen(t, path, Options{Required: true, MaxSize: 4096, Keep: 3, Fsync: true})
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	const events = 200
	for i := range events {
		if err := s.Require(t.Context(), variant(func(e *Event) { e.Connection = uint64(i + 1) })); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 4 {
		t.Errorf("files: %v", entries)
	}
	next := events
	for n := range 4 {
		name := path
		if n > 0 {
			name = fmt.Sprintf("%s.%d", path, n)
		}
		info, err := os.Stat(name)
		if err != nil || info.Size() > 4096 || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v %v", name, info, err)
		}
		lines := strings.SplitAfter(content(t, name), "\n")
		for i := len(lines) - 2; i >= 0; i-- {
			if seqOf(t, lines[i]) != uint64(next) {
				t.Fatalf("%s: want %d in %s", name, next, lines[i])
			}
			next--
		}
	}
	if next == 0 || next == events {
		t.Errorf("down to %d", next)
	}
}

// The next file has the group of the one before, or nothing for its own: it would
// be another group's.
func TestRotationKeepsTheGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to any group")
	}
	const group = 4711
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f, err := openFile(path, Options{MaxSize: 10, Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(os.Chown(path, -1, group), os.Chmod(path, 0o640)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.write([]entry{{line: []byte("a whole line\n")}}); err != nil {
			t.Fatal(err)
		}
	}
	now, err := os.Stat(path)
	if err != nil || now.Size() != 13 || now.Mode().Perm() != 0o640 || groupOf(now) != group {
		t.Errorf("%v, group %d, %v", now, groupOf(now), err)
	}
}

// Where the file cannot be moved it grows on, and nothing is lost.
func TestRotationThatFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	if err := os.MkdirAll(path+".1/in the way", 0o700); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path, Options{Required: true, MaxSize: 1024, Keep: 1})
	for range 20 {
		if err := s.Require(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(content(t, path), "\n"); n != 20 || s.Lost() != 0 {
		t.Errorf("%d lines, %d lost", n, s.Lost())
	}
}

// A file that cannot be moved, as one that is mounted, or that somebody reads on
// Windows, does not push out those that were: each event would take one.
func TestRotationThatFailsKeepsTheOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := &file{path: path, keep: 3}
	for n := 1; n <= 3; n++ {
		if err := os.WriteFile(f.numbered(n), fmt.Append(nil, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if err := f.shift(); err == nil { // there is no file to move
			t.Fatal("moved")
		}
	}
	for n := 2; n <= 3; n++ {
		if got := content(t, f.numbered(n)); got != fmt.Sprint(n-1) {
			t.Errorf(".%d is what was .%s", n, got)
		}
	}
	if err := os.WriteFile(path, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.shift(); err != nil || content(t, f.numbered(1)) != "0" || content(t, f.numbered(3)) != "2" {
		t.Errorf("%v, .1 is %s, .3 is %s", err, content(t, f.numbered(1)), content(t, f.numbered(3)))
	}
}
