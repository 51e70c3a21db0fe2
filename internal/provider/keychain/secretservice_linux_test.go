package keychain

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"secretless/internal/provider"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv"
)

func on(t *testing.T, k *testenv.Keyring) provider.Provider {
	t.Helper()
	return build(t, provider.Setup{Name: "keychain"}, k)
}

func build(t *testing.T, s provider.Setup, k *testenv.Keyring) provider.Provider {
	t.Helper()
	s.LookupEnv = k.LookupEnv
	s.Decode = func(any) error { return nil }
	p, err := Definition().Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// put puts any bytes into the login collection, which secret-tool cannot.
func put(t *testing.T, k *testenv.Keyring, service, account string, value []byte) {
	t.Helper()
	s, err := secretService{k.LookupEnv}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	c := s.(*serviceSession)
	call := c.call(t.Context(), "/org/freedesktop/secrets/collection/login", "org.freedesktop.Secret.Collection.CreateItem",
		map[string]dbus.Variant{
			"org.freedesktop.Secret.Item.Label":      dbus.MakeVariant("test"),
			"org.freedesktop.Secret.Item.Attributes": dbus.MakeVariant(map[string]string{"service": service, "username": account}),
		}, wireSecret{c.session, nil, value, "application/octet-stream"}, true)
	if call.Err != nil {
		t.Fatal(call.Err)
	}
}

func TestConformance(t *testing.T) {
	k := testenv.NewKeyring(t)
	providertest.Run(t, providertest.Config{
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			refs := map[string]string{}
			for name, value := range values {
				put(t, k, t.Name(), name, value)
				refs[name] = t.Name() + "#" + name
			}
			return providertest.Source{Provider: build(t, s, k), Refs: refs, Missing: t.Name() + "#missing"}
		},
	})
}

// expect is one lookup; want is the value, or the error's text after a "!".
func expect(t *testing.T, p provider.Provider, id, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	leases, err := p.Fetch(ctx, []string{id})
	if text, fails := strings.CutPrefix(want, "!"); fails {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v, want %q", id, err, text)
		}
		return
	}
	if err != nil || string(leases[id].Value.Bytes()) != want {
		t.Errorf("%s: %q, %v", id, leases[id].Value.Bytes(), err)
	}
}

func TestSecretTool(t *testing.T) {
	k := testenv.NewKeyring(t)
	k.Store(t, "as username\n", "service", "orders", "username", "app")
	k.Store(t, "as account", "service", "orders", "account", "batch")
	k.Store(t, "with more", "service", "orders", "username", "web", "application", "python-keyring")
	k.Store(t, "first", "service", "double", "username", "app", "kind", "1")
	k.Store(t, "second", "service", "double", "username", "app", "kind", "2")
	p := on(t, k)
	expect(t, p, "orders#app", "as username\n")
	expect(t, p, "orders#batch", "as account")
	expect(t, p, "orders#web", "with more")
	expect(t, p, "orders#nobody", "!"+errNotFound.Error())
	expect(t, p, "double#app", "!the keyring has 2 items with these attributes")
	k.Store(t, "rotated", "service", "orders", "username", "app")
	expect(t, p, "orders#app", "rotated")
}

// A keyring that is locked says so at once, whether its daemon was told to lock
// it or is a new one that nobody has given the password. No window opens.
func TestLockedKeyring(t *testing.T) {
	k := testenv.NewKeyring(t)
	k.Store(t, "value", "service", "orders", "username", "app")
	p := on(t, k)
	expect(t, p, "orders#app", "value")
	k.Lock(t)
	expect(t, p, "orders#app", "!"+errLocked.Error())
	expect(t, p, "orders#nobody", "!"+errNotFound.Error())
	k.KillDaemon()
	expect(t, p, "orders#app", "!"+errLocked.Error()) // of the one that the bus has started
	k.Restart(t)
	expect(t, p, "orders#app", "value")
}

func transient(err error) bool {
	e, ok := errors.AsType[*provider.Error](err)
	return ok && e.Transient
}

func TestNoBus(t *testing.T) {
	k := testenv.NewKeyring(t)
	k.Store(t, "value", "service", "orders", "username", "app")
	p := on(t, k)
	k.Stop()
	_, err := p.Fetch(t.Context(), []string{"orders#app"})
	if err == nil || !strings.Contains(err.Error(), "connecting to the D-Bus session bus: ") || !transient(err) {
		t.Errorf("bus has ended: %v", err)
	}
	k.Restart(t)
	expect(t, p, "orders#app", "value")

	for name, vars := range map[string]map[string]string{
		"nothing set": {},
		"no socket":   {"XDG_RUNTIME_DIR": t.TempDir()},
	} {
		p.(*keychain).store = newStore(func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
		_, err := p.Fetch(t.Context(), []string{"orders#app"})
		if err == nil || !strings.Contains(err.Error(), "there is no D-Bus session: ") || transient(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The runtime directory is enough.
	p.(*keychain).store = newStore(func(name string) (string, bool) {
		if name == "XDG_RUNTIME_DIR" {
			return filepath.Dir(k.Socket()), true
		}
		return "", false
	})
	expect(t, p, "orders#app", "value")
}

// A daemon that hangs, and a bus that hangs, end with the lookup's deadline.
func TestHangingKeyring(t *testing.T) {
	k := testenv.NewKeyring(t)
	k.Store(t, "value", "service", "orders", "username", "app")
	p := on(t, k)
	expect(t, p, "orders#app", "value")
	hangs := func(what string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		ended := make(chan error, 1)
		go func() {
			_, err := p.Fetch(ctx, []string{"orders#app"})
			ended <- err
		}()
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: the lookup does not end", what)
		}
	}
	k.SignalDaemon(syscall.SIGSTOP)
	hangs("daemon")
	k.SignalDaemon(syscall.SIGCONT)
	expect(t, p, "orders#app", "value")

	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p.(*keychain).store = newStore(func(name string) (string, bool) {
		if name == "DBUS_SESSION_BUS_ADDRESS" {
			return "unix:path=" + path, true
		}
		return "", false
	})
	hangs("bus") // it takes the connection and says nothing
}

// A daemon that is killed while it is asked is an error at once, which a retry
// may mend.
func TestKilledWhileAsked(t *testing.T) {
	k := testenv.NewKeyring(t)
	k.Store(t, "value", "service", "orders", "username", "app")
	p := on(t, k)
	expect(t, p, "orders#app", "value")
	k.SignalDaemon(syscall.SIGSTOP)
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		_, err := p.Fetch(ctx, []string{"orders#app"})
		ended <- err
	}()
	// Either the lookup waits for the daemon already, or it finds the next one.
	time.Sleep(50 * time.Millisecond)
	k.KillDaemon()
	if err := <-ended; err == nil || errors.Is(err, context.DeadlineExceeded) || !transient(err) && !errors.Is(err, errLocked) {
		t.Errorf("got %v", err)
	}
}

func TestNoKeyringOnTheBus(t *testing.T) {
	for name, want := range map[string]string{
		"org.freedesktop.DBus.Error.ServiceUnknown": "no keyring answers on the session bus",
		"org.freedesktop.DBus.Error.NoReply":        "the keyring ended or hung while it was asked",
		"org.freedesktop.Secret.Error.IsLocked":     errLocked.Error(),
		"org.freedesktop.Secret.Error.NoSuchObject": errNotFound.Error(),
		"org.example.Odd":                           "the keyring answers with org.example.Odd",
	} {
		err := serviceError(dbus.Error{Name: name, Body: []any{"canary"}})
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
