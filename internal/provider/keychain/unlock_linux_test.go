package keychain

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"secretless/internal/testenv"
)

// double is a Secret Service with one locked item, on a real bus.
type double struct {
	prompt             dbus.ObjectPath // what Unlock answers; / for none
	prompts, dismissed atomic.Int32
}

const (
	lockedItem = dbus.ObjectPath("/org/freedesktop/secrets/collection/c/1")
	thePrompt  = dbus.ObjectPath("/org/freedesktop/secrets/prompt/1")
)

func (d *double) OpenSession(string, dbus.Variant) (dbus.Variant, dbus.ObjectPath, *dbus.Error) {
	return dbus.MakeVariant(""), "/org/freedesktop/secrets/session/1", nil
}

func (d *double) SearchItems(map[string]string) (open, locked []dbus.ObjectPath, err *dbus.Error) {
	return nil, []dbus.ObjectPath{lockedItem}, nil
}

func (d *double) Unlock(all []dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	if d.prompt == noObject {
		return all, noObject, nil
	}
	return nil, d.prompt, nil
}

func (d *double) GetSecret(session dbus.ObjectPath) (wireSecret, *dbus.Error) {
	return wireSecret{session, nil, []byte("value"), "text/plain"}, nil
}

func (d *double) Prompt(string) *dbus.Error {
	d.prompts.Add(1)
	return nil
}

func (d *double) Dismiss() *dbus.Error {
	d.dismissed.Add(1)
	return nil
}

func newDouble(t *testing.T, k *testenv.Keyring, prompt dbus.ObjectPath) *double {
	t.Helper()
	address, _ := k.LookupEnv("DBUS_SESSION_BUS_ADDRESS")
	conn, err := dbus.Connect(address, dbus.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	d := &double{prompt: prompt}
	for path, iface := range map[dbus.ObjectPath]string{servicePath: serviceIface, lockedItem: itemIface, thePrompt: promptIface} {
		if err := conn.Export(d, path, iface); err != nil {
			t.Fatal(err)
		}
	}
	// The bus may have to notice first that the daemon has ended.
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		reply, err := conn.RequestName(busName, dbus.NameFlagDoNotQueue)
		if reply == dbus.RequestNameReplyPrimaryOwner {
			return d
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("the name of the service: %v, %v", reply, err)
		}
	}
}

// What opens by itself is opened; where somebody would have to be asked, nobody
// is.
func TestUnlock(t *testing.T) {
	for prompt, want := range map[dbus.ObjectPath]string{noObject: "value", thePrompt: "!" + errLocked.Error()} {
		k := testenv.NewKeyring(t)
		k.KillDaemon()
		d := newDouble(t, k, prompt)
		expect(t, on(t, k), "any#thing", want)
		if wanted := prompt != noObject; d.prompts.Load() != 0 || (d.dismissed.Load() == 1) != wanted {
			t.Errorf("%s: %d prompts, %d dismissed", prompt, d.prompts.Load(), d.dismissed.Load())
		}
	}
}
