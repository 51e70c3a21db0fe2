package fips

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// describe is what the modes are asked, in processes of their own: a mode is
// chosen when a process starts.
const describe = "SECRETLESS_FIPS_DESCRIBE"

func TestMain(m *testing.M) {
	if os.Getenv(describe) == "" {
		os.Exit(m.Run())
	}
	fields := []string{"text=" + Text()}
	for name, err := range map[string]error{"md5": Refuse("MD5", "use another"), "short": Key("the key", 13), "long": Key("the key", 14)} {
		if err != nil {
			fields = append(fields, name+"="+err.Error())
		}
	}
	_, _ = os.Stdout.WriteString(strings.Join(fields, "\n"))
	os.Exit(0)
}

func TestModes(t *testing.T) {
	for mode, want := range map[string][]string{
		"off":  {"text=\n", "", "", ""},
		"on":   {"text=FIPS 140-3 on, Go Cryptographic Module", "md5=MD5 is not approved by FIPS 140-3, and the broker runs in FIPS mode: use another", "", ""},
		"only": {"text=FIPS 140-3 only", "md5=MD5 is not", "short=the key has 13 bytes", ""},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), describe+"=1", "GODEBUG=fips140="+mode, "GORACE=atexit_sleep_ms=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		text := string(out) + "\n"
		for i, name := range []string{"text", "md5", "short", "long"} {
			if want[i] == "" && strings.Contains(text, name+"=") || !strings.Contains(text, want[i]) {
				t.Errorf("fips140=%s: %s: got %q, want %q", mode, name, text, want[i])
			}
		}
	}
}
