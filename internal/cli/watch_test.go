package cli

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What changes between reading the file and watching it is not missed.
func TestWatchCountsFromTheRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.yml")
	if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	asRead, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("more"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed := watchFile(ctx, path, asRead)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("the change is missed")
	}
	cancel()
	for range changed { // closed when the watch has ended
	}
}
