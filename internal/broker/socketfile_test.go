//go:build unix

package broker

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func onSocket(name, path string, mode fs.FileMode) *Service {
	return with(service(name, hello), func(s *Service) {
		s.Listen, s.Socket.Mode = []Address{{"unix", path}}, mode
	})
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	i, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return i.Mode()
}

func TestSocketModeOwnerAndRemoval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	b := newBroker(t)
	svc := onSocket("svc", path, 0o660)
	svc.Socket.UID, svc.Socket.GID = os.Getuid(), os.Getgid()
	b.mustApply(t, svc)
	if got := modeOf(t, path); got != fs.ModeSocket|0o660 {
		t.Errorf("mode %v", got)
	}
	dial(t, "unix", path).expect("here")

	// A reload changes the mode of the socket that stays.
	before, _ := os.Lstat(path)
	b.mustApply(t, onSocket("svc", path, 0o606))
	after, _ := os.Lstat(path)
	if after.Mode().Perm() != 0o606 || !os.SameFile(before, after) {
		t.Errorf("mode %v, same file %v", after.Mode(), os.SameFile(before, after))
	}
	dial(t, "unix", path).expect("here")

	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The file is bound narrow and widened afterwards, whatever the umask.
func TestSocketIsNeverWider(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := bindUnix(t.Context(), path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if got := modeOf(t, path).Perm(); got&^0o600 != 0 {
		t.Errorf("mode %v right after bind", got)
	}
}

// The new owner of a socket may own its directory too, and put something else
// in its place: a broker that is root must not hand that over.
func TestReplacedSocketIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "s")
	for name, replace := range map[string]func() error{
		"symbolic link": func() error { return os.Symlink(victim, path) },
		"hard link":     func() error { return os.Link(victim, path) },
		"own file":      func() error { return os.WriteFile(path, nil, 0o600) },
		"own socket":    func() error { dead(t, path); return os.Chmod(path, 0o600) },
		"nothing":       func() error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(victim, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			ln, file, err := listenUnix(t.Context(), path, Socket{Mode: 0o600, UID: -1, GID: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			// Kept under another name, or its inode could be used again.
			if err := os.Rename(path, filepath.Join(dir, "away")); err != nil {
				t.Fatal(err)
			}
			if err := replace(); err != nil {
				t.Fatal(err)
			}
			if err := file.own(Socket{Mode: 0o666, UID: os.Getuid(), GID: os.Getgid()}); err == nil {
				t.Error("no error")
			}
			if undo, err := file.change(Socket{Mode: 0o666, UID: -1, GID: -1}); err == nil {
				undo()
				t.Error("changed")
			}
			if got := modeOf(t, victim).Perm(); got != 0o600 {
				t.Errorf("the victim has mode %v", got)
			}
			if i, err := os.Lstat(path); err == nil && i.Mode().Perm()&0o066 != 0 && i.Mode().Type() != fs.ModeSymlink {
				t.Errorf("the impostor has mode %v", i.Mode())
			}
			_ = os.Remove(path)
			_ = os.Remove(filepath.Join(dir, "away"))
		})
	}
}

// dead leaves a socket file behind that nobody listens on.
func dead(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead(t, path)
	b := newBroker(t)
	b.mustApply(t, onSocket("svc", path, 0o600))
	dial(t, "unix", path).expect("here")
}

func TestWhatIsInTheWayIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live")
	ln, err := net.Listen("unix", live)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	datagram := filepath.Join(dir, "datagram")
	dc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: datagram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer dc.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(live, link); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t)
	for path, want := range map[string]string{
		live:                           "another program listens on",
		datagram:                       "cannot tell whether",
		file:                           "is not a socket",
		link:                           "is not a socket",
		dir:                            "is not a socket",
		filepath.Join(dir, "no", "s"):  "create it first",
		filepath.Join(file, "s"):       "not a directory",
		"/" + strings.Repeat("x", 200): "choose a shorter one",
	} {
		err := b.Apply(t.Context(), []*Service{onSocket("svc", path, 0o600)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
	for _, path := range []string{live, datagram, file, link} {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("removed: %v", err)
		}
	}
}

func TestLongestSocketPathWorks(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := dir + "/"
	path += strings.Repeat("x", maxSocketPath-len(path))
	b := newBroker(t)
	b.mustApply(t, onSocket("svc", path, 0o600))
	dial(t, "unix", path).expect("here")
}

// Another broker may have taken the path over meanwhile.
func TestSuccessorsSocketIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	b := newBroker(t)
	b.mustApply(t, onSocket("svc", path, 0o600))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := b.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket: %v", err)
	}
}

// A reload of a service whose socket somebody removed makes it again.
func TestRemovedSocketComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	b := newBroker(t)
	b.mustApply(t, onSocket("svc", path, 0o600))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.mustApply(t, onSocket("svc", path, 0o600))
	dial(t, "unix", path).expect("here")
}

func TestOwnerThatCannotBeSet(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can")
	}
	path := filepath.Join(t.TempDir(), "s")
	b := newBroker(t)
	svc := onSocket("svc", path, 0o600)
	svc.Socket.UID = 0
	if err := b.Apply(t.Context(), []*Service{svc}); !errors.Is(err, unix.EPERM) {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestListenForOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(Address{"unix", path})
	if err != nil {
		t.Fatal(err)
	}
	if got := modeOf(t, path).Perm(); got != 0o600 {
		t.Errorf("mode %v", got)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	if ln, err = Listen(Address{"tcp", "localhost:0"}); err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if _, err := Listen(Address{"systemd", "x"}); err == nil {
		t.Error("systemd accepted")
	}
}
