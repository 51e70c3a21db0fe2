package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"secretless/internal/admin"
	"secretless/internal/broker"
	"secretless/internal/doctor"
)

// hostile is what a program can be called, or a target can say: commands for a
// terminal in one character, text that runs the other way.
const hostile = "a\u009b2J\u202eb\x1bc <&>"

func TestJSONDrivesNoTerminal(t *testing.T) {
	var log, results, status strings.Builder
	f := logFlags{level: "info", format: "json"}
	logger, err := f.logger(Env{Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	logger.Warn(hostile, "error", hostile)
	if err := printResults(Env{Stdout: &results}, true, []doctor.Result{{Service: "db", Problem: hostile}}); err != nil {
		t.Error(err)
	}
	if err := printJSON(&status, admin.Status{Services: []broker.ServiceStatus{{Name: hostile}}}); err != nil {
		t.Error(err)
	}
	for what, out := range map[string]string{"log": log.String(), "doctor": results.String(), "status": status.String()} {
		if strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) || !strings.Contains(out, `a\u009b2J\u202eb\u001bc <&>`) {
			t.Errorf("%s: %q", what, out)
		}
		if !json.Valid([]byte(out)) {
			t.Errorf("%s is no JSON: %q", what, out)
		}
	}
}
