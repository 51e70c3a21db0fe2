package resource

import (
	"strings"
	"testing"

	"secretless/internal/kubeapi"
)

const sample = `{"type":"MODIFIED","object":{"kind":"Configuration","metadata":{"name":"n","namespace":"s","uid":"u","resourceVersion":"7","generation":3},` +
	`"spec":{"a":1},"status":{"conditions":[{"type":"Accepted","status":"True","lastTransitionTime":"2026-11-27T12:00:00Z"}]}}}`

const canary = "c4nary-resource"

func TestEvents(t *testing.T) {
	for line, want := range map[string]string{
		sample: "MODIFIED 7 {\"a\":1} 1",
		`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}`:                 "BOOKMARK 9",
		`{"type":"ERROR","object":{"kind":"Status","code":410}}`:                            "!" + errExpired.Error(),
		`{"type":"ERROR","object":{"kind":"Status","code":500,"message":"` + canary + `"}}`: "!the API server cannot answer now (status 500)",
		`{"type":"ERROR","object":{}}`:                                                      "!the API server answers with status 0",
		`{"type":"BOOKMARK","object":{}}`:                                                   "!" + errNoObject.Error(),
		`{"type":"` + canary + `","object":{}}`:                                             "!" + errNoObject.Error(),
		`<html>` + canary:                                                                   "!" + errNoObject.Error(),
		`{"type":"ADDED","object":{"metadata":{"name":7}}}`:                                 "!" + errNoObject.Error(),
		strings.Replace(sample, `"n"`, `"`+canary+`"`, 1):                                   "!the API server sends another resource than the one that was asked for",
		strings.Replace(sample, `"s"`, `"other"`, 1):                                        "!the API server sends another resource than the one that was asked for",
		strings.Replace(sample, `"uid":"u"`, `"x":1`, 1):                                    "!" + errNoObject.Error(),
		strings.Replace(sample, `[{"type":"Accepted","status":"True","lastTransitionTime":"2026-11-27T12:00:00Z"}]`, "7", 1): "MODIFIED 7 {\"a\":1} 0",
		strings.Repeat("a", maxEvent+1): "!" + kubeapi.TooLargeError{Limit: maxEvent}.Error(),
		"\n\n":                          "!EOF",
	} {
		e, err := newEvents(strings.NewReader(line+"\n"), "s", "n").next()
		got := e.kind + " " + e.version
		if e.object != nil {
			got += " " + string(e.object.Spec) + " " + string(rune('0'+len(e.object.status.Conditions)))
		}
		if err != nil {
			got = "!" + err.Error()
		}
		if got != want {
			t.Errorf("%.80q: got %s, want %s", line, got, want)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{sample, "", "{}", "null", `{"type":"ADDED"}`, `{"type":"ADDED","object":null}`, `{"TYPE":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseEvent(line, "s", "n")
		switch {
		case err != nil && (e.object != nil || e.version != ""):
			t.Errorf("an event with error %v", err)
		case err == nil && e.version == "":
			t.Error("an event that a watch cannot go on from")
		case err == nil && e.object != nil && (e.object.Name != "n" || e.object.Namespace != "s" || e.object.UID == ""):
			t.Errorf("%+v", e.object)
		}
		if o, version, err := parseList(line, "s", "n"); err == nil && version == "" || err != nil && o != nil {
			t.Errorf("list %+v, %q, %v", o, version, err)
		}
		// A stream of it ends.
		lines := newEvents(strings.NewReader(strings.Repeat(string(line)+"\n", 3)), "s", "n")
		for range 4 + 3*len(line) {
			if _, err = lines.next(); err != nil {
				break
			}
		}
		if err == nil {
			t.Error("a stream without an end")
		}
	})
}
