package admin_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"secretless/internal/admin"
	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
)

// A socket that everybody can connect to still answers its own user alone.
func TestOtherUsersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	dir, err := os.MkdirTemp("", "admin") // not below a directory of this user alone
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "client")
	copyFile(t, program, "/proc/self/exe")
	path := filepath.Join(dir, "s")
	l := listen(t, "unix", path)
	for p, mode := range map[string]os.FileMode{dir: 0o755, path: 0o777} {
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(&guarded{mu: &mu, to: &log}, nil))
	var events events
	serve(t, admin.Private(l, logger, &events), admin.Control(operations(nil)))
	run := func(uid uint32) string {
		cmd := exec.Command(program)
		cmd.Env, cmd.Dir = []string{connectAs + "=" + path}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	for range 2 {
		if out := run(65534); !strings.HasPrefix(out, "nothing") {
			t.Errorf("another user: %s", out)
		}
	}
	if out := run(0); !strings.HasPrefix(out, "answered") {
		t.Errorf("root: %s", out)
	}
	if all := events.all(); len(all) != 2 || all[0].Action != audit.ActionConnect || all[0].Outcome != audit.Fail || all[1].Peer.UID != 65534 {
		t.Errorf("audited: %+v", all)
	} else {
		audittest.Events(t, all)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "another user at the admin socket, refused\" uid=65534") {
		t.Errorf("log: %s", got)
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCheckPlace(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		mode  os.FileMode
		group int
		want  string
	}{
		{0o700, -1, ""},
		{0o755, -1, ""},
		{0o770, os.Getegid(), ""}, // umask 002
		{0o777 | os.ModeSticky, -1, ""},
		{0o777, -1, "can be written to by everybody (mode 0777), who could replace the socket: chmod go-w " + dir},
		{0o770, 1234, "can be written to by group 1234 (mode 0770), who could replace"},
		{0o750, 1234, ""},
	} {
		if os.Geteuid() != 0 && test.group == 1234 {
			continue // only root gives it to any group
		}
		if err := errors.Join(os.Chown(dir, -1, test.group), os.Chmod(dir, test.mode)); err != nil {
			t.Fatal(err)
		}
		err := admin.CheckPlace(filepath.Join(dir, "s"))
		if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test.mode, err)
		}
	}
	if err := admin.CheckPlace(filepath.Join(dir, "none", "s")); err == nil || !strings.Contains(err.Error(), "create it first") {
		t.Errorf("no directory: %v", err)
	}
	if err := admin.CheckPlace("/proc/1/s"); os.Geteuid() != 0 && err == nil {
		t.Error("another user's directory")
	}
	for range 2 {
		if err := admin.MakePlace(filepath.Join(dir, "new", "s")); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "new")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("made %v, %v", info, err)
	}
}
