package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command is one command of a console block and what the page shows below it.
type command struct {
	text   string
	output []string
}

// commands are the commands of a console block: each begins with "$ " and goes
// on in lines that begin with "> ", or behind a backslash.
func (b block) commands() []command {
	var list []command
	goesOn := false
	for l := range strings.Lines(b.text) {
		l = strings.TrimRight(l, "\n")
		switch rest, isCommand := strings.CutPrefix(l, "$ "); {
		case isCommand:
			list = append(list, command{text: rest})
		case len(list) == 0:
			return nil
		case goesOn || strings.HasPrefix(l, "> "):
			list[len(list)-1].text += "\n" + strings.TrimPrefix(l, "> ")
		case strings.TrimSpace(l) != "":
			list[len(list)-1].output = append(list[len(list)-1].output, l)
		}
		goesOn = strings.HasSuffix(l, "\\") && (goesOn || strings.HasPrefix(l, "$ ") || strings.HasPrefix(l, "> "))
	}
	return list
}

// TestConsoleBlocks holds console blocks to their form.
func TestConsoleBlocks(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language == "console" && len(b.commands()) == 0 {
				t.Errorf("%s:%d: a console block begins with a command, $ …", b.page, b.number)
			}
		}
	}
}

// missing is the first line that the page shows and the program did not print,
// in that order; empty if there is none. Lines between them do not matter, nor
// does white space; … stands for anything.
func missing(want []string, got string) string {
	lines := strings.Split(got, "\n")
	for _, w := range want {
		at := slices.IndexFunc(lines, pattern(w).MatchString)
		if at < 0 {
			return w
		}
		lines = lines[at+1:]
	}
	return ""
}

var spaces = regexp.MustCompile(`\s+`)

func pattern(shown string) *regexp.Regexp {
	p := regexp.QuoteMeta(strings.TrimSpace(shown))
	p = spaces.ReplaceAllString(p, `\s+`)
	return regexp.MustCompile(`^\s*` + strings.ReplaceAll(p, "…", ".*") + `\s*$`)
}

func TestMissing(t *testing.T) {
	got := "a  1\nb 2\nlog: c\n"
	for want, found := range map[string]bool{"a 1": true, "b 2\na 1": false, "a …\nlog: …": true, "c": false, "b": false} {
		if (missing(strings.Split(want, "\n"), got) == "") != found {
			t.Errorf("%q found: want %v", want, found)
		}
	}
}

func TestCommands(t *testing.T) {
	b := block{text: "$ one \\\n    two\nout\n\n$ cat <<E\n> x\n> E\nx\n"}
	got := b.commands()
	if len(got) != 2 || got[0].text != "one \\\n    two" || got[1].text != "cat <<E\nx\nE" || got[0].output[0] != "out" || len(got[1].output) != 1 {
		t.Errorf("%q", got)
	}
}
