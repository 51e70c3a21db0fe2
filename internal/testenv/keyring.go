package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Keyring is a D-Bus session bus with gnome-keyring on it: the Secret Service as
// a desktop has it, with a home directory of its own and its login collection
// open.
type Keyring struct {
	bus, daemon *daemon // in one directory
}

// NewKeyring starts one for this test alone.
func NewKeyring(t testing.TB) *Keyring {
	t.Helper()
	for _, program := range []string{"dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool"} {
		Tool(t, program)
	}
	return private(t, env.newKeyring)
}

func (e *environment) newKeyring() (*Keyring, error) {
	dir, err := e.newDir("keyring")
	if err != nil {
		return nil, err
	}
	k := &Keyring{}
	k.bus = newDaemon(dir, service{name: "session bus", program: k.busProgram, ready: func(context.Context) error {
		return k.ask("GetId")
	}})
	k.daemon = newDaemon(dir, service{name: "gnome-keyring-daemon", program: k.daemonProgram, ready: func(context.Context) error {
		return k.ask("GetNameOwner", "string:org.freedesktop.secrets")
	}})
	if err := k.start(); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *Keyring) start() error {
	if err := k.bus.start(); err != nil {
		return err
	}
	return k.daemon.start()
}

// Env is the environment of a session, in which programs find the bus.
func (k *Keyring) Env() []string { return append(bareEnv(k.bus.dir), k.session()...) }

func (k *Keyring) session() []string {
	return []string{
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + k.Socket(), "XDG_RUNTIME_DIR=" + k.bus.dir, "XDG_DATA_HOME=" + k.bus.file("data"),
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
func (k *Keyring) Socket() string { return k.bus.file("bus") }

func (k *Keyring) busProgram() (program, error) {
	// It would find the socket of a bus before it in its place.
	if err := os.Remove(k.Socket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return program{}, err
	}
	path, err := exec.LookPath("dbus-daemon")
	return program{
		Path: path, Args: []string{"--session", "--nofork", "--nopidfile", "--nosyslog", "--address=unix:path=" + k.Socket()},
		Env: k.session(),
	}, err
}

// daemonProgram gives the password of the login collection, which is made with
// it the first time and opened after that.
func (k *Keyring) daemonProgram() (program, error) {
	path, err := exec.LookPath("gnome-keyring-daemon")
	return program{
		Path: path, Args: []string{"--foreground", "--unlock", "--components=secrets"},
		Env: k.session(), input: "login password",
	}, err
}

// ask asks the bus itself, which starts nobody for that.
func (k *Keyring) ask(method string, args ...string) error {
	_, err := k.run("", "dbus-send", append([]string{
		"--session", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus." + method,
	}, args...)...)
	return err
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
func (k *Keyring) SignalDaemon(s syscall.Signal) { k.daemon.signal(s) }

// KillDaemon kills gnome-keyring-daemon. The bus starts another when somebody
// asks for it, whose login collection is locked.
func (k *Keyring) KillDaemon() { k.daemon.Kill() }

// Restart starts a bus and a daemon whose login collection is open, with what
// was stored, where they have ended.
func (k *Keyring) Restart(t testing.TB) {
	t.Helper()
	k.Stop()
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the daemon and the bus. It may be called twice.
func (k *Keyring) Stop() {
	k.daemon.Stop()
	k.bus.Stop()
}

func (k *Keyring) close() error { return closeAll(k.bus.dir, k.daemon, k.bus) }
