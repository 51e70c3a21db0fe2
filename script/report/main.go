// Command report reads what `go test -json` prints and writes a line for each
// package, the output of tests that failed, the reasons of tests that were
// skipped, and into the file given as argument the counts: passed, failed and
// skipped, separated by blanks. It exits with 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	r := newReport(os.Stdout)
	err := r.read(os.Stdin)
	if err == nil && len(os.Args) > 1 {
		err = os.WriteFile(os.Args[1], []byte(r.counts()), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	if r.failed > 0 {
		os.Exit(1)
	}
}

// event is one line; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// key names a test; test is empty for what its package prints itself.
type key struct{ pkg, test string }

// report adds up events.
type report struct {
	out                     io.Writer
	output                  map[key][]string
	tests                   map[string]int  // finished tests by package
	broken                  map[string]bool // packages with a failed test
	passed, failed, skipped int
	skips                   []string
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[key][]string{}, tests: map[string]int{}, broken: map[string]bool{}}
}

func (r *report) counts() string {
	return fmt.Sprintf("%d %d %d\n", r.passed, r.failed, r.skipped)
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				// The go command's own words, and what a test process wrote
				// past its testing package.
				fmt.Fprintf(r.out, "%s", line)
			} else {
				r.add(e)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "skipped:", s)
	}
	return nil
}

func (r *report) add(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(k, e)
		} else {
			r.endTest(k, e)
		}
		delete(r.output, k)
	}
}

func (r *report) endTest(k key, e event) {
	r.tests[k.pkg]++
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
		r.skips = append(r.skips, short(k.pkg)+" "+k.test+": "+reason(r.output[k]))
	case "fail":
		r.failed++
		r.broken[k.pkg] = true
		fmt.Fprintf(r.out, "FAILED %s %s\n%s", short(k.pkg), k.test, strings.Join(r.output[k], ""))
	}
}

// endPackage counts a package that failed without a failed test, because of
// its build, its TestMain, a data race or a timeout, as one failure.
func (r *report) endPackage(k key, e event) {
	switch n := r.tests[k.pkg]; {
	case e.Action == "fail":
		fmt.Fprintf(r.out, "FAIL   %-44s %6.1f s\n%s", short(k.pkg), e.Elapsed, strings.Join(r.output[k], ""))
		r.unfinished(k.pkg)
		if !r.broken[k.pkg] {
			r.failed++
		}
	case n > 0:
		fmt.Fprintf(r.out, "ok     %-44s %6.1f s %5d tests\n", short(k.pkg), e.Elapsed, n)
	}
}

// unfinished shows the output of tests that a crash or a timeout cut short.
func (r *report) unfinished(pkg string) {
	for k, lines := range r.output {
		if k.pkg == pkg && k.test != "" {
			fmt.Fprintf(r.out, "NOT FINISHED %s\n%s", k.test, strings.Join(lines, ""))
			delete(r.output, k)
		}
	}
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "secretless/") }

// reason finds the words of t.Skip among the lines of a skipped test.
func reason(lines []string) string {
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			return line
		}
	}
	return "no reason given"
}
