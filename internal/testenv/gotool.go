package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// GoTool builds the program of tools/<name>, which is a module of its own:
// what it needs is no dependency of the broker's.
func GoTool(t testing.TB, name string) string {
	t.Helper()
	program, err := env.buildTool(name)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func (e *environment) buildTool(name string) (string, error) {
	base, err := e.baseDir()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	program := filepath.Join(base, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, ".")
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "tools", name)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build tools/%s: %w: %s", name, err, out)
	}
	return program, nil
}
