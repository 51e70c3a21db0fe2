package cli

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata drive the program as users meet it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"secretless":        func() { os.Exit(Run(context.Background(), Process(), os.Args[1:])) },
		"secretless-broker": func() { os.Exit(RunLegacy(context.Background(), Process(), os.Args[1:])) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
	})
}
