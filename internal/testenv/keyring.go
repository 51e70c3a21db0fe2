package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Keyring is a D-Bus session bus with gnome-keyring on it: the Secret Service as
// a desktop has it, with a home directory of its own and its login collection
// open.
type Keyring struct {
	dir         string
	bus, daemon *process
}

// NewKeyring starts one for this test alone.
func NewKeyring(t testing.TB) *Keyring {
	t.Helper()
	for _, program := range []string{"dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool"} {
		Tool(t, program)
	}
	base, err := env.baseDir()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(base, "keyring")
	if err != nil {
		t.Fatal(err)
	}
	k := &Keyring{dir: dir}
	env.mu.Lock()
	env.running[k] = struct{}{}
	env.mu.Unlock()
	t.Cleanup(func() {
		k.Stop()
		_ = os.RemoveAll(dir)
	})
	k.startBus(t)
	k.startDaemon(t)
	return k
}

// Env are the variables by which programs find the bus.
func (k *Keyring) Env() []string {
	return []string{
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + k.Socket(), "HOME=" + k.dir, "XDG_RUNTIME_DIR=" + k.dir,
		"XDG_DATA_HOME=" + filepath.Join(k.dir, "data"), "PATH=" + os.Getenv("PATH"), "LC_ALL=C",
	}
}

// LookupEnv looks into Env.
func (k *Keyring) LookupEnv(name string) (string, bool) {
	for _, v := range k.Env() {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// Socket is the path of the bus.
func (k *Keyring) Socket() string { return filepath.Join(k.dir, "bus") }

func (k *Keyring) startBus(t testing.TB) {
	t.Helper()
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--nosyslog", "--address=unix:path="+k.Socket())
	k.bus = k.start(t, cmd)
	k.await(t, "the session bus", func() bool {
		_, err := k.ask("GetId")
		return err == nil
	})
}

// startDaemon gives the password of the login collection, which is made with it
// the first time and opened after that.
func (k *Keyring) startDaemon(t testing.TB) {
	t.Helper()
	cmd := exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	cmd.Stdin = strings.NewReader("login password")
	k.daemon = k.start(t, cmd)
	k.await(t, "gnome-keyring-daemon", func() bool {
		_, err := k.ask("GetNameOwner", "string:org.freedesktop.secrets")
		return err == nil
	})
}

// ask asks the bus itself, which starts nobody for that.
func (k *Keyring) ask(method string, args ...string) (string, error) {
	return k.run("", "dbus-send", append([]string{
		"--session", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus." + method,
	}, args...)...)
}

func (k *Keyring) start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(k.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = k.dir, k.Env(), log, log
	p, err := startProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (k *Keyring) await(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(k.dir, "log"))
			t.Fatalf("%s does not start: %s", what, log)
		}
	}
}

// run runs a program on the bus, with text as its standard input.
func (k *Keyring) run(text, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stdin = k.Env(), strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return string(out), err
}

// Store stores a value with secret-tool. The attributes are names and values in
// turn.
func (k *Keyring) Store(t testing.TB, value string, attributes ...string) {
	t.Helper()
	if _, err := k.run(value, "secret-tool", append([]string{"store", "--label=test"}, attributes...)...); err != nil {
		t.Fatal(err)
	}
}

// Lock locks the login collection.
func (k *Keyring) Lock(t testing.TB) {
	t.Helper()
	if _, err := k.run("", "dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets",
		"org.freedesktop.Secret.Service.Lock", "array:objpath:/org/freedesktop/secrets/collection/login"); err != nil {
		t.Fatal(err)
	}
}

// SignalDaemon sends a signal to gnome-keyring-daemon.
func (k *Keyring) SignalDaemon(t testing.TB, s os.Signal) {
	t.Helper()
	if err := k.daemon.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// KillDaemon kills gnome-keyring-daemon. The bus starts another when somebody
// asks for it, whose login collection is locked.
func (k *Keyring) KillDaemon(t testing.TB) {
	t.Helper()
	if err := k.daemon.stop(10*time.Second, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// Restart starts a bus and a daemon whose login collection is open, with what
// was stored, where they have ended.
func (k *Keyring) Restart(t testing.TB) {
	t.Helper()
	k.Stop()
	_ = os.Remove(k.Socket())
	k.startBus(t)
	k.startDaemon(t)
}

// Stop ends the daemon and the bus. It may be called twice.
func (k *Keyring) Stop() { _ = errors.Join(end(k.daemon), end(k.bus)) }

func end(p *process) error {
	if p == nil {
		return nil
	}
	return p.stop(10*time.Second, syscall.SIGTERM, syscall.SIGKILL)
}
