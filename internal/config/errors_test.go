package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden texts")

// Every file in testdata/errors is wrong; its .golden pins what is said about
// it, so that a change of a message is seen by a reviewer.
func TestErrorTexts(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.yml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(filepath.Base(path), data, offline())
			if err == nil {
				t.Fatal("no error")
			}
			list, ok := err.(Errors) //nolint:errorlint // the exact type is the contract
			if !ok {
				t.Fatalf("%T", err)
			}
			for i := 1; i < len(list); i++ {
				if list[i].Line < list[i-1].Line {
					t.Errorf("not in file order: %s before %s", list[i-1], list[i])
				}
			}
			golden(t, strings.TrimSuffix(path, ".yml")+".golden", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// A credential's value is in no message, whatever is wrong around it.
func TestErrorsShowNoCredential(t *testing.T) {
	const canary = "s3cr3t-canary"
	for _, keys := range []string{
		"credentials: " + canary,
		"credentials: [" + canary + "]",
		"credentials: {password: [" + canary + "]}",
		"credentials: {password: {from: literal, get: [" + canary + "]}}",
		"credentials: {password: {from: literal, get: " + canary + ", got: x}}",
		"credentials: {password: !x " + canary + "}",
		"credentials: {password: !!binary '" + canary + "'}",
		"tls: {cert: /c, key: " + canary + "}",
	} {
		_, err := Parse("s.yml", []byte(service(listenHere, keys)), offline())
		if err == nil {
			t.Errorf("%s: no error", keys)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", keys, err)
		}
	}
}
