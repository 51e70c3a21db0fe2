package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"secretless/internal/config"
)

// The admin socket answers while the broker starts. A reload at that time would
// be overtaken by the configuration of the start.
func TestNoReloadBeforeTheStart(t *testing.T) {
	p := &process{log: slog.New(slog.DiscardHandler)}
	if err := p.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("got %v", err)
	}
}

// In a pod there are directories of root's alone in which everybody may write:
// the admin socket's own below one of them is made, for the broker's user.
func TestPlaceOfAdminSocketIsMade(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there a directory's permissions are not the broker's to set")
	}
	place := filepath.Join(t.TempDir(), "admin")
	at := config.Listen{Network: "unix", Address: filepath.Join(place, "s"), Pos: config.Pos{Line: 1, Column: 1}}
	new(process).makeSocketPlace(&at)
	if info, err := os.Stat(place); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info, err)
	}
}
