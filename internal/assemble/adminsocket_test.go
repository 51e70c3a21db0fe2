//go:build unix

package assemble_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"secretless/internal/assemble"
)

// Without a word in the configuration the admin socket is in the session's
// directory, if that is the user's own.
func TestDefaultAdminSocket(t *testing.T) {
	session := t.TempDir()
	for name, test := range map[string]struct{ dir, admin, want string }{
		"a session":          {session, "", filepath.Join(session, "secretless", "admin.sock")},
		"no such directory":  {filepath.Join(session, "none"), "", ""},
		"another's":          {"/proc/1", "", ""},
		"no absolute path":   {"run", "", ""},
		"turned off":         {session, "admin: {socket: off}", ""},
		"named in the file":  {session, "admin: {socket: unix:///run/a.sock}", "/run/a.sock"},
		"only health is set": {session, "admin: {health: off}", filepath.Join(session, "secretless", "admin.sock")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat("/run/secretless"); err == nil && test.want == "" {
				t.Skip("this machine has /run/secretless")
			}
			if test.dir == "/proc/1" && os.Geteuid() == 0 {
				t.Skip("everything is root's")
			}
			env := map[string]string{"XDG_RUNTIME_DIR": test.dir}
			a := assemble.New(assemble.Options{Log: slog.New(slog.DiscardHandler), LookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
			f, err := a.Parse("s.yml", []byte("version: 2\nservices: {db: {connector: pg, listenOn: tcp://localhost:1}}\n"+test.admin))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if f.Admin.Socket != nil {
				got = f.Admin.Socket.Address
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
