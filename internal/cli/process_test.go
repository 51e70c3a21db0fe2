package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"secretless/internal/assemble"
	"secretless/internal/config"
)

// The admin socket answers while the broker starts. A reload at that time would
// be overtaken by the configuration of the start.
func TestNoReloadBeforeTheStart(t *testing.T) {
	p := new(process)
	if err := p.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("got %v", err)
	}
}

// An audit file that is a link elsewhere is made anew there when a tool has
// moved it away.
func TestLinkedAuditFileStaysWritable(t *testing.T) {
	here := t.TempDir()
	there, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(there, "audit"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(here, "audit.jsonl")
	if err := os.Symlink(filepath.Join(there, "audit"), link); err != nil {
		t.Skip(err)
	}
	file := &config.File{Audit: config.Audit{To: []string{"file://" + link}}, State: here}
	writable := hardeningNeeds(assemble.New(assemble.Options{}), file, &assemble.Built{}).Writable
	for _, dir := range []string{here, there} {
		if !slices.Contains(writable, dir) {
			t.Errorf("%s is not among %v", dir, writable)
		}
	}
}
