package cli

import (
	"context"
	"os"
	"testing"
	"time"

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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

// await waits for a file to exist.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await path")
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(ts.MkAbs(args[0]))
		switch {
		case err == nil:
			return
		case time.Now().After(end):
			ts.Fatalf("waited in vain: %v", err)
		}
	}
}
