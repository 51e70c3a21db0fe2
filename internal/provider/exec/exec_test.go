package exec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/exec"
	"secretless/internal/provider/providertest"
)

// instance builds a provider and returns what it logs.
func instance(t *testing.T, c exec.Config, vars map[string]string) (provider.Provider, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	p, err := exec.Definition().Build(provider.Setup{
		Name:      "under-test",
		Decode:    func(into any) error { *into.(*exec.Config) = c; return nil },
		LookupEnv: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		Log:       slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, &log
}

// script writes a shell script.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Config{
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			held, refs := map[string]map[string][]byte{}, map[string]string{}
			for name, v := range values {
				held["app/"+name] = map[string][]byte{"base64": append([]byte{}, v...)} // []byte is base64 in JSON
				refs[name] = "app/" + name
			}
			text, err := json.Marshal(held)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "values.json")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			s.Decode = func(into any) error {
				*into.(*exec.Config) = exec.Config{Command: []string{script(t, `cat "$1"`), file}}
				return nil
			}
			p, err := exec.Definition().Build(s)
			if err != nil {
				t.Fatal(err)
			}
			return providertest.Source{Provider: p, Refs: refs, Missing: "app/none"}
		},
	})
}

func TestSummonConformance(t *testing.T) {
	providertest.Run(t, providertest.Config{
		// The space around a value is the protocol's, not the value's.
		Holds: func(v []byte) bool { return bytes.Equal(v, bytes.TrimSpace(v)) },
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			dir, refs := t.TempDir(), map[string]string{}
			for name, v := range values {
				if err := os.WriteFile(filepath.Join(dir, name), v, 0o600); err != nil {
					t.Fatal(err)
				}
				refs[name] = name
			}
			s.Decode = func(into any) error {
				*into.(*exec.Config) = exec.Config{
					Command: []string{script(t, `cat "$1/$2" && echo`), dir}, Protocol: exec.ProtocolSummon,
				}
				return nil
			}
			p, err := exec.Definition().Build(s)
			if err != nil {
				t.Fatal(err)
			}
			return providertest.Source{Provider: p, Refs: refs, Missing: "none"}
		},
	})
}

func TestAnswerForms(t *testing.T) {
	p, _ := instance(t, exec.Config{Command: []string{script(t, `
printf '{"short": "v\\u00e4lue", "long": {"value": "x\\ny", "expires": "2031-02-03T04:05:06.5+01:00"},'
printf ' "binary": {"base64": "AP8="}, "nobody asked": "z", "none": null }'`)}}, nil)
	leases, err := p.Fetch(t.Context(), []string{"short", "long", "binary"})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"short": "välue", "long": "x\ny", "binary": "\x00\xff"} {
		if l := leases[id]; string(l.Value.Bytes()) != want {
			t.Errorf("%s: got %q, want %q", id, l.Value.Bytes(), want)
		}
	}
	if want := time.Date(2031, 2, 3, 3, 5, 6, 5e8, time.UTC); !leases["long"].Expires.Equal(want) || !leases["short"].Expires.IsZero() {
		t.Errorf("expires %v and %v, want %v and none", leases["long"].Expires, leases["short"].Expires, want)
	}
	if len(leases) != 3 {
		t.Errorf("%d leases, want 3: what nobody asked for is dropped", len(leases))
	}
}

// What the command is told: ids on standard input, and no more of the
// environment than agreed.
func TestQuestion(t *testing.T) {
	dir := t.TempDir()
	p, _ := instance(t, exec.Config{
		Command: []string{script(t, `cat >"$1/stdin"; env >"$1/env"; printf '{"a \\"b\\"": "1", "c": "2"}'`), dir},
		Env:     []string{"VAULT_NAME", "NOT_SET"},
	}, map[string]string{"VAULT_NAME": "main", "HOME": "/home/x", "PATH": "/evil", "TOKEN": "t"})
	if _, err := p.Fetch(t.Context(), []string{`a "b"`, "c"}); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, dir, "stdin"), `{"ids":["a \"b\"","c"]}`+"\n"; got != want {
		t.Errorf("stdin %q, want %q", got, want)
	}
	env := "\n" + read(t, dir, "env")
	for _, want := range []string{"\nVAULT_NAME=main\n", "\nHOME=/home/x\n", "\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"} {
		if !strings.Contains(env, want) {
			t.Errorf("environment lacks %q:%s", want, env)
		}
	}
	for _, never := range []string{"TOKEN", "NOT_SET", "evil"} {
		if strings.Contains(env, never) {
			t.Errorf("environment has %q:%s", never, env)
		}
	}
}

func TestOwnPath(t *testing.T) {
	dir := t.TempDir()
	p, _ := instance(t, exec.Config{Command: []string{script(t, `echo "$PATH" >"$1/path"; echo '{"a":"b"}'`), dir}, Env: []string{"PATH"}},
		map[string]string{"PATH": "/opt/x:/bin:/usr/bin"})
	if _, err := p.Fetch(t.Context(), []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir, "path"); got != "/opt/x:/bin:/usr/bin\n" {
		t.Errorf("PATH %q", got)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFailures(t *testing.T) {
	const inLog = "; the broker's log has what it wrote to standard error"
	for name, c := range map[string]struct {
		body, want string
		transient  bool
	}{
		"status":     {"echo s3cret; exit 3", "command exited with status 3" + inLog, false},
		"not found":  {"no-such-program", "command exited with status 127, which often means a program that is not on its PATH" + inLog, false},
		"try again":  {"exit 75", "command exited with status 75" + inLog, true},
		"signal":     {"kill -SEGV $$", "command was ended by a signal (segmentation fault)" + inLog, false},
		"nothing":    {"", "command exited with status 0 and printed nothing", false},
		"garbage":    {"echo s3cret", "command's answer is wrong at byte 0: an object in braces, as in {\"id\": \"value\"}, is expected", false},
		"cut off":    {`printf '{"a": "s3cret'`, "command's answer is wrong at byte 7: a string has no end", false},
		"duplicates": {`printf '{"a": "s3cret", "a": "s3cret"}'`, "command's answer is wrong at byte 20: the same id stands there twice", false},
		"number":     {`printf '{"a": 1234}'`, `command's answer is wrong at byte 6: a value must be a "string", {"value": "…"}, {"base64": "…"} or null; numbers go into quotes too`, false},
		"two":        {`printf '{"a": "s3cret"}{}'`, "command's answer is wrong at byte 15: something follows the JSON object", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, log := instance(t, exec.Config{Command: []string{script(t, c.body)}}, nil)
			leases, err := p.Fetch(t.Context(), []string{"a"})
			e, ok := errors.AsType[*provider.Error](err)
			if !ok || leases != nil {
				t.Fatalf("got %v, %v", leases, err)
			}
			if want := "provider under-test: " + c.want; err.Error() != want || e.Transient != c.transient {
				t.Errorf("got  %v (transient %v)\nwant %s", err, e.Transient, want)
			}
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("log has the secret: %s", log)
			}
		})
	}
}

func TestFailureTypes(t *testing.T) {
	p, _ := instance(t, exec.Config{Command: []string{script(t, "exit 9")}, Env: []string{"TOKEN", "HOME"}}, map[string]string{"HOME": "/"})
	_, err := p.Fetch(t.Context(), []string{"a"})
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.Status != 9 || !strings.HasSuffix(err.Error(), "; not set in the broker's environment: TOKEN") {
		t.Errorf("got %v", err)
	}
	p, _ = instance(t, exec.Config{Command: []string{script(t, `echo '{"b": "1", "c": null}'`)}}, nil)
	_, err = p.Fetch(t.Context(), []string{"a", "b", "c"})
	if want := "provider under-test: a, c: command's answer has no value for this; check the id, and that the command may read it"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	p, _ = instance(t, exec.Config{Command: []string{"/no/such/command"}}, nil)
	_, err = p.Fetch(t.Context(), []string{"a"})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "starting /no/such/command: no such file or directory; install it, or correct command of the instance") {
		t.Errorf("got %v", err)
	}
	plain := script(t, "")
	if err := os.Chmod(plain, 0o600); err != nil {
		t.Fatal(err)
	}
	p, _ = instance(t, exec.Config{Command: []string{plain}}, nil)
	if _, err = p.Fetch(t.Context(), []string{"a"}); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "chmod +x") {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	for want, c := range map[string]exec.Config{
		"command is empty: write [/path/of/the/program, argument, …]":                                                       {},
		`command must begin with an absolute path, not "pass": a name would be looked up on a PATH that others may control`: {Command: []string{"pass", "show"}},
		"command has a NUL byte": {Command: []string{"/bin/x", "a\x00"}},
		`env has "$TOKEN=x": write names of variables only, without $ and without a value`: {Command: []string{"/bin/x"}, Env: []string{"$TOKEN=x"}},
	} {
		_, err := exec.Definition().Build(provider.Setup{Decode: func(into any) error { *into.(*exec.Config) = c; return nil }})
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestCheckRef(t *testing.T) {
	for ref, want := range map[string]string{
		"op://vault/item/field":   "",
		"":                        "id is empty",
		"a\nb":                    "id has control characters",
		"a\xff":                   "id is no valid UTF-8",
		strings.Repeat("x", 4097): "id has 4097 bytes, more than 4096",
	} {
		got := ""
		if err := exec.Definition().CheckRef(ref); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.20q: got %q, want %q", ref, got, want)
		}
	}
}

func TestSummonProtocol(t *testing.T) {
	p, _ := instance(t, exec.Config{Command: []string{script(t, `[ "$#" = 2 ] && [ "$1" = show ] || exit 4; printf '  %s value\n\n' "$2"`), "show"}, Protocol: exec.ProtocolSummon}, nil)
	leases, err := p.Fetch(t.Context(), []string{"one", "$(two)"})
	if err != nil || string(leases["one"].Value.Bytes()) != "one value" || string(leases["$(two)"].Value.Bytes()) != "$(two) value" {
		t.Errorf("got %q %q, %v", leases["one"].Value.Bytes(), leases["$(two)"].Value.Bytes(), err)
	}
	_, err = p.Fetch(t.Context(), []string{"--version"})
	if err == nil || err.Error() != "provider under-test: --version: id begins with a dash, and the command would take it for an option" {
		t.Errorf("got %v", err)
	}
}
