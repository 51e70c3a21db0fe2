//go:build unix

package e2e

import (
	"net"
	"os"
	"sync"
	"testing"

	"secretless/internal/testenv"
)

// keychainPlace is a keyring, in whose place something that talks too much
// listens in the end.
func keychainPlace(t *testing.T, env map[string]string, password string) place {
	k := testenv.NewKeyring(t)
	k.Store(t, password, "service", "canary", "username", "app")
	env["DBUS_SESSION_BUS_ADDRESS"], _ = k.LookupEnv("DBUS_SESSION_BUS_ADDRESS")
	return place{
		password: `{ from: keychain, get: "canary#app" }`, missing: `{ from: keychain, get: "canary#nobody" }`,
		broken: `{ from: keychain, get: "broken#app" }`,
		breakDown: func() {
			k.Stop()
			_ = os.Remove(k.Socket())
			chatter(t, k.Socket(), "REJECTED "+password+"\r\n")
		},
	}
}

// chatter says the same to everyone who connects, and closes.
func chatter(t *testing.T, socket, text string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Error(err)
		return
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		ended.Wait()
	})
}
