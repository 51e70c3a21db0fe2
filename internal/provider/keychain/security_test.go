//go:build unix

package keychain

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
)

// script makes a program that stands for /usr/bin/security.
func script(t *testing.T, text string) securityProgram {
	t.Helper()
	path := testenv.WriteFile(t, "security", "#!/bin/sh\n"+text)
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return securityProgram{path, func(name string) (string, bool) { return "value of " + name, name == "HOME" }}
}

func TestSecurityProgram(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":          {`printf '%s\n' 'pa ss"\134'`, `pa ss"\134`},
		"empty":          {`echo`, ""},
		"spaces kept":    {`echo ' a '`, " a "},
		"hex":            {`[ "$6" = -w ] && echo 70c3a40a || echo 'password: 0x70C3A40A  "p\303\244\012"' >&2`, "pä\n"},
		"looks like hex": {`[ "$6" = -w ] && echo 70c3a40a || echo 'password: "70c3a40a"' >&2`, "70c3a40a"},
		"hex of text":    {`[ "$6" = -w ] && echo 7061 || exit 9`, "7061"}, // the program would have printed pa
		"capitals":       {`[ "$6" = -w ] && echo 70C3 || exit 9`, "70C3"},
		"arguments":      {`echo "$*"`, "find-generic-password -s my service -a app -w"},
		"environment":    {`env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=`, "HOME=value of HOME"},
	} {
		value, err := script(t, c.text).read(t.Context(), item{"my service", "app"})
		if err != nil || string(value.Bytes()) != c.want {
			t.Errorf("%s: %q, %v", name, value.Bytes(), err)
		}
	}
}

func TestSecurityProgramFails(t *testing.T) {
	for text, want := range map[string]string{
		"echo canary; exit 44":     errNotFound.Error(),
		"echo canary >&2; exit 36": errLocked.Error(),
		"exit 51":                  "was not allowed",
		"exit 128":                 "was not allowed",
		"echo canary; exit 3":      "the keychain's program ended with status 3",
		// The shell's own end by SIGPIPE or the writer's error, either is an error.
		"echo canary; head -c 3000000 /dev/zero": "keychain's program",
	} {
		value, err := script(t, text).read(t.Context(), item{"my service", "app"})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") || value.Len() != 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err := securityProgram{"/nonexistent/security", os.LookupEnv}.read(t.Context(), item{"s", "a"})
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

// The program may wait for a window that nobody answers.
func TestSecurityProgramHangs(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	k := newKeychain("keychain", script(t, "sleep 600"))
	start := time.Now()
	_, err := k.Fetch(ctx, []string{"s#a"})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func FuzzFromHex(f *testing.F) {
	for _, seed := range []string{"", "70c3a40a", "7061", "70C3", "0", "00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		decoded, ok := fromHex(text)
		if ok && (len(decoded)*2 != len(text) || !bytes.ContainsFunc(decoded, func(r rune) bool { return r < ' ' || r > '~' })) {
			t.Errorf("%q: %q", text, decoded)
		}
	})
}
