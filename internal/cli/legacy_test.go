package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// Packages link the old name to the one program.
func TestMainGoesByItsName(t *testing.T) {
	for name, legacy := range map[string]bool{
		"secretless": false, "/usr/bin/secretless-broker": true, "./secretless-broker.exe": true, "secretless-broker-2": false,
	} {
		var out bytes.Buffer
		env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
		code := Main(context.Background(), env, []string{name, "-graceful-exit", "version"})
		if works := code == ExitOK && strings.HasPrefix(out.String(), "secretless "); works != legacy {
			t.Errorf("%s: %d, %s", name, code, out.String())
		}
	}
}
