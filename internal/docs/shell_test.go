package docs

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"mvdan.cc/sh/v3/syntax"

	"secretless/internal/cli"
)

// languages are those that blocks are in. Those of a shell are checked here;
// yaml is loaded by internal/assemble, and console is run.
var languages = []string{
	"console", "sh", "yaml", "yml", "json", "text", "sql", "go", "hcl", "ini", "powershell", "promql", "dockerfile", "mermaid",
}

func TestLanguages(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if !slices.Contains(languages, b.language) {
				t.Errorf("%s:%d: a block of language %q: name one of %q", b.page, b.number-1, b.language, languages)
			}
			if b.language == "text" && regexp.MustCompile(`(?m)^(\$ |secretless )`).MatchString(b.text) {
				t.Errorf("%s:%d: a command in a text block: make it console, which is run, or sh", b.page, b.number-1)
			}
		}
	}
}

// TestShellBlocks reads the blocks that are not run: they are a shell's
// language, what they say to secretless is what it understands, and there is a
// reason why they are not run.
func TestShellBlocks(t *testing.T) {
	seen := map[string]bool{}
	count := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch b.language {
			case "console":
				for _, c := range b.commands() {
					for _, why := range checkShell(c.text) {
						t.Errorf("%s:%d: %s", b.page, b.number, why)
					}
				}
			case "sh":
				count++
				for _, why := range checkShell(b.text) {
					t.Errorf("%s:%d: %s", b.page, b.number, why)
				}
				if reason := b.whyNotRun(seen); reason == "" {
					t.Errorf("%s:%d: not run, and no reason for that: make it a console block, or add it to notRun in reasons_test.go", b.page, b.number)
				}
			}
		}
	}
	for key := range notRun {
		if !seen[key] {
			t.Errorf("notRun has %q, and no block begins like that", key)
		}
	}
	t.Logf("%d sh blocks checked", count)
}

// TestMentions does the same for commands within sentences.
func TestMentions(t *testing.T) {
	for _, p := range pages(t) {
		if p.path == "CHANGELOG.md" {
			continue // it tells of what was
		}
		for _, l := range p.lines {
			for _, span := range codeSpan.FindAllString(l.text, -1) {
				text := strings.ReplaceAll(strings.Trim(span, "`"), "\\|", "|")
				if !strings.HasPrefix(text, "secretless ") {
					continue
				}
				for _, why := range checkShell(placeholder.ReplaceAllString(text, "")) {
					t.Errorf("%s:%d: %s", p.path, l.number, why)
				}
			}
		}
	}
}

// TestHelp does the same for the examples in the program's own help, of which
// docs/cli.md is made: what stands behind two spaces explains them.
func TestHelp(t *testing.T) {
	count := 0
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		for l := range strings.Lines(cmd.Example) {
			command, _, _ := strings.Cut(strings.TrimSpace(l), "  ")
			if !strings.Contains(command, "secretless ") {
				continue
			}
			count++
			for _, why := range checkShell(placeholder.ReplaceAllString(command, "x")) {
				t.Errorf("help of %s: %s", cmd.CommandPath(), why)
			}
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(cli.Commands())
	if count < 10 {
		t.Errorf("only %d examples found", count)
	}
}

// placeholder is what a sentence leaves open.
var placeholder = regexp.MustCompile(`…|\.\.\.|\[[^\]]*\]`)

// checkShell lists what is wrong with some lines of shell.
func checkShell(text string) []string {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		return []string{fmt.Sprintf("not shell: %v", err)}
	}
	var wrong []string
	syntax.Walk(file, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			if err := checkCall(words(call)); err != nil {
				wrong = append(wrong, err.Error())
			}
		}
		return true
	})
	return wrong
}

// words are a command and its arguments; what only a running shell knows is
// "x".
func words(call *syntax.CallExpr) []string {
	var list []string
	for _, w := range call.Args {
		var b strings.Builder
		for _, part := range w.Parts {
			b.WriteString(literal(part))
		}
		list = append(list, b.String())
	}
	return list
}

func literal(part syntax.WordPart) string {
	switch part := part.(type) {
	case *syntax.Lit:
		return part.Value
	case *syntax.SglQuoted:
		return part.Value
	case *syntax.DblQuoted:
		var b strings.Builder
		for _, inner := range part.Parts {
			b.WriteString(literal(inner))
		}
		return b.String()
	}
	return "x"
}

// wrappers run another command, which follows their own options; the value is
// those that have an argument.
var wrappers = map[string]string{"sudo": "-u -g", "exec": "-a", "env": "-u", "nohup": "", "time": ""}

// unwrapped is the command itself.
func unwrapped(args []string) []string {
	for len(args) > 0 {
		withArgument, ok := wrappers[args[0]]
		if !ok {
			return args
		}
		args = args[1:]
		for len(args) > 0 && (strings.HasPrefix(args[0], "-") || strings.Contains(args[0], "=")) {
			if slices.Contains(strings.Fields(withArgument), args[0]) {
				args = args[1:]
			}
			args = args[min(1, len(args)):]
		}
	}
	return args
}

// checkCall holds a call of secretless against its own commands and flags.
func checkCall(args []string) error {
	args = unwrapped(args)
	if len(args) < 2 || path.Base(args[0]) != "secretless" {
		return nil
	}
	args = args[1:]
	cmd, rest, err := cli.Commands().Find(args)
	if err != nil {
		return fmt.Errorf("secretless %s: %w", strings.Join(args, " "), err)
	}
	if cmd.DisableFlagParsing || args[0] == "help" || args[0] == "completion" {
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		if strings.Contains(err.Error(), "needs an argument") {
			return nil // a sentence about the flag
		}
		return fmt.Errorf("secretless %s: %w", strings.Join(args, " "), err)
	}
	// The root takes no arguments: a word there is a command that does not exist.
	if !cmd.HasParent() && cmd.Flags().NArg() > 0 {
		return fmt.Errorf("secretless %s: there is no such command", strings.Join(args, " "))
	}
	return nil
}

func TestCheckShell(t *testing.T) {
	for text, want := range map[string]string{
		"secretless validate -f a.yml":                   "",
		"secretless -f a.yml --watch &":                  "",
		"X=1 ./secretless serve -f a.yml 2>log":          "",
		"eval \"$(secretless env a)\"":                   "",
		"sudo -u x secretless ca export --dir d":         "",
		"sudo -u secretless secretless ca export --di d": "unknown flag",
		"sudo install -o secretless /etc":                "",
		"secretless summon -p env -f s.yml make -j":      "",
		"secretless validat -f a.yml":                    "no such command",
		"cat a | secretless validate --nonsense -f -":    "unknown flag",
		"echo \"$(secretless env --nonsense a)\"":        "unknown flag",
		"if true; then secretless ca nonsense x; else":   "not shell",
		"kubectl exec pod -- ls; systemctl status x":     "",
		"if true; then secretless status --nothing; fi":  "unknown flag",
	} {
		got := strings.Join(checkShell(text), "; ")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
