package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	for name, c := range map[string]struct{ in, counts, shows string }{
		"a test passed": {
			`{"Action":"output","Package":"secretless/a","Test":"TestX","Output":"hidden\n"}
{"Action":"pass","Package":"secretless/a","Test":"TestX"}
{"Action":"pass","Package":"secretless/a","Elapsed":1.5}`,
			"1 0 0", "ok     a",
		},
		"a test failed": {
			`{"Action":"output","Package":"secretless/a","Test":"TestX","Output":"a_test.go:1: wrong\n"}
{"Action":"fail","Package":"secretless/a","Test":"TestX"}
{"Action":"fail","Package":"secretless/a"}`,
			"0 1 0", "FAILED a TestX\na_test.go:1: wrong",
		},
		"a package failed after its tests": {
			`{"Action":"pass","Package":"secretless/a","Test":"TestX"}
{"Action":"output","Package":"secretless/a","Output":"goroutines left\n"}
{"Action":"fail","Package":"secretless/a"}`,
			"1 1 0", "goroutines left",
		},
		"a build failed": {
			`{"ImportPath":"secretless/a","Action":"build-output","Output":"a.go:1: undefined\n"}
{"ImportPath":"secretless/a","Action":"build-fail"}
{"Action":"fail","Package":"secretless/a","FailedBuild":"secretless/a"}`,
			"0 1 0", "a.go:1: undefined",
		},
		"a crash": {
			`{"Action":"output","Package":"secretless/a","Test":"TestX","Output":"panic: oh\n"}
{"Action":"fail","Package":"secretless/a"}`,
			"0 1 0", "NOT FINISHED TestX\npanic: oh",
		},
		"skipped": {
			`{"Action":"output","Package":"secretless/a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"secretless/a","Test":"TestX","Output":"    a_test.go:3: no such tool\n"}
{"Action":"skip","Package":"secretless/a","Test":"TestX"}
{"Action":"pass","Package":"secretless/a"}`,
			"0 0 1", "skipped: a TestX: a_test.go:3: no such tool",
		},
		"no tests":         {`{"Action":"skip","Package":"secretless/a"}`, "0 0 0", ""},
		"words of go's":    {"go: warning\n", "0 0 0", "go: warning"},
		"no newline, json": {`{"Action":"pass","Package":"secretless/a","Test":"TestX"}`, "1 0 0", ""},
	} {
		var out strings.Builder
		r := newReport(&out)
		if err := r.read(strings.NewReader(c.in)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := strings.TrimSpace(r.counts()); got != c.counts || !strings.Contains(out.String(), c.shows) {
			t.Errorf("%s: counted %s, want %s; printed:\n%s", name, got, c.counts, out.String())
		}
	}
}
