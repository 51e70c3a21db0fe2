package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/localca"
)

// The system of this test is a directory and a program that looks at it.
func TestInstallTrust(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "anchors")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "update-trust")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho taken up: $(ls "+dir+" | wc -l)\n"), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	store := trustStore{"a test", dir, program}
	if !store.here() || (trustStore{"none", dir, "no-such-program"}).here() || (trustStore{"none", root + "/x", program}).here() {
		t.Error("the system is not recognised")
	}
	foreign := filepath.Join(dir, "somebody.crt")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	state := t.TempDir()
	plan := localca.Plan{Scope: localca.NewScope([]string{"api.example.com"}), Lifetime: time.Hour, Now: time.Now()}
	if err := localca.Create(state, plan); err != nil {
		t.Fatal(err)
	}
	install := func() string {
		t.Helper()
		ca, err := localca.Open(state)
		if err != nil {
			t.Fatal(err)
		}
		trust, err := ca.Trust()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := store.install(t.Context(), Env{Stdout: &out, Stderr: &out}, trust); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if out := install(); strings.Count(out, "wrote ") != 1 || !strings.Contains(out, "running "+program) || !strings.Contains(out, "taken up: 2") {
		t.Errorf("%s", out)
	}
	if _, err := localca.Rotate(state, plan); err != nil {
		t.Fatal(err)
	}
	if out := install(); strings.Count(out, "wrote ") != 2 || !strings.Contains(out, "taken up: 3") {
		t.Errorf("with an overlap: %s", out)
	}
	if _, err := localca.Rotate(state, plan); err != nil {
		t.Fatal(err)
	}
	if out := install(); strings.Count(out, "removed ") != 1 || !strings.Contains(out, "taken up: 3") {
		t.Errorf("the oldest stays: %s", out)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("somebody's file is gone: %v", err)
	}
}
