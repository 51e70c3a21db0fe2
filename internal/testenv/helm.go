package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Helm runs Helm, which script/setup has built, and returns what it printed.
func Helm(t testing.TB, args ...string) (string, error) {
	t.Helper()
	program := filepath.Join(CacheDir(), "helm", "helm")
	if _, err := os.Stat(program); err != nil {
		require(t, "Helm")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	home := t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home, "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("helm %v: %w: %s", args, err, out)
	}
	return string(out), err
}
