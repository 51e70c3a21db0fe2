package assemble

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"secretless/internal/config"
)

func TestStateDirectory(t *testing.T) {
	root := t.TempDir()
	for name, c := range map[string]struct {
		state string
		env   map[string]string
		want  string
		err   string
	}{
		"configured": {state: filepath.Join(root, "a", "b"), env: map[string]string{"HOME": root}, want: "a/b"},
		"systemd":    {env: map[string]string{"STATE_DIRECTORY": filepath.Join(root, "s") + ":/other", "XDG_STATE_HOME": root}, want: "s"},
		"relative":   {env: map[string]string{"STATE_DIRECTORY": "s", "HOME": root}, want: ".local/state/secretless"},
		"XDG":        {env: map[string]string{"XDG_STATE_HOME": filepath.Join(root, "x"), "HOME": root}, want: "x/secretless"},
		"home":       {env: map[string]string{"XDG_STATE_HOME": "relative", "HOME": root}, want: ".local/state/secretless"},
		"nowhere":    {err: "name one as state"},
		"no room":    {state: "/dev/null/x", err: "making the state directory"},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Options{LookupEnv: func(key string) (string, bool) {
				v, ok := c.env[key]
				return v, ok
			}})
			b := &build{Assembler: a, file: &config.File{State: c.state}}
			dir, err := b.stateDir()
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %q, %v", dir, err)
				}
				return
			}
			if err != nil || dir != filepath.Join(root, c.want) {
				t.Fatalf("got %q, %v", dir, err)
			}
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}
