//go:build linux

package docs

import (
	"strings"
	"testing"
)

// TestPages runs the commands of every page that has console blocks, from top
// to bottom, in a sandbox, and looks for what the page shows below them. A
// command that fails must be shown to fail: with its error.
func TestPages(t *testing.T) {
	run := 0
	for _, p := range pages(t) {
		if !p.isRun() {
			continue
		}
		place, ok := places[p.path]
		if !ok {
			t.Errorf("%s has console blocks: add it to places in places_test.go", p.path)
			continue
		}
		for _, b := range p.blocks {
			run += min(len(b.commands()), 1) * isConsole(b)
		}
		t.Run(p.path, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			place(s)
			s.start()
			for _, do := range s.later {
				do()
			}
			for _, b := range p.blocks {
				s.block(b)
			}
		})
	}
	t.Logf("%d console blocks run", run)
	for path := range places {
		if !isPageRun(pages(t), path) {
			t.Errorf("places has %s, which has no console blocks", path)
		}
	}
}

func isConsole(b block) int {
	if b.language == "console" {
		return 1
	}
	return 0
}

func (p page) isRun() bool {
	for _, b := range p.blocks {
		if b.language == "console" {
			return true
		}
	}
	return false
}

func isPageRun(all []page, path string) bool {
	for _, p := range all {
		if p.path == path {
			return p.isRun()
		}
	}
	return false
}

// block writes a file or runs commands.
func (s *sandbox) block(b block) {
	s.t.Helper()
	if b.file != "" {
		s.write(b.file, s.here(b.text))
	}
	if b.language != "console" {
		return
	}
	for _, c := range b.commands() {
		status, output := s.run(s.here(c.text))
		var want []string
		for _, l := range c.output {
			want = append(want, s.here(l))
		}
		if l := missing(want, output); l != "" {
			s.t.Errorf("%s:%d: $ %s\nthe page shows %q, which is not in what was printed:\n%s", b.page, b.number, c.text, l, output)
		}
		if status != 0 && len(want) == 0 && !strings.HasSuffix(strings.TrimSpace(c.text), "&") {
			s.t.Errorf("%s:%d: $ %s\nexit status %d, and the page shows no error:\n%s", b.page, b.number, c.text, status, output)
		}
	}
}
