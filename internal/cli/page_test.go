package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

// TestPage compares docs/cli.md with the commands there are; -update writes it.
func TestPage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "cli.md")
	want := page(Commands())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/cli.md is not what the commands say of themselves; write it anew: go test ./internal/cli -run '^TestPage$' -update")
	}
}

const pageTop = "# Command line\n\nEvery command of `secretless` and its flags, as the program itself explains them. " +
	"The old broker's command line, `secretless-broker`, is on the page about [moving over](migration.md).\n\n" +
	"<!-- Made by: go test ./internal/cli -run '^TestPage$' -update -->\n"

func page(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(pageTop)
	root.InitDefaultCompletionCmd()
	describe(&b, root)
	return b.String()
}

// describe writes a section for each command that users see, depth first.
func describe(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden {
		return
	}
	cmd.InitDefaultHelpFlag()
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", cmd.CommandPath(), cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(b, "\n%s\n", paragraphs(cmd.Long))
	}
	if cmd.Runnable() {
		fmt.Fprintf(b, "\n```text\nusage: %s\n```\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", strings.TrimRight(cmd.Example, "\n"))
	}
	if usage := cmd.LocalFlags().FlagUsages(); usage != "" {
		fmt.Fprintf(b, "\n```text\n%s```\n", usage)
	}
	for _, sub := range cmd.Commands() {
		describe(b, sub)
	}
}

// paragraphs is a help text as Markdown: what would be read as its syntax is
// taken from it, and indented lines become blocks.
func paragraphs(text string) string {
	var b strings.Builder
	inBlock := false
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		indented := strings.HasPrefix(l, "  ") || strings.HasPrefix(l, "\t")
		if indented && !inBlock {
			b.WriteString("```text\n")
		}
		if !indented && inBlock {
			b.WriteString("```\n")
		}
		inBlock = indented
		l = strings.Replace(l, "\t", "  ", 1)
		if title, ok := strings.CutPrefix(l, "#### "); ok {
			l = "__" + title + "__"
		}
		if !indented && !strings.HasPrefix(l, "__") {
			l = strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`).Replace(l)
		}
		b.WriteString(l + "\n")
	}
	if inBlock {
		b.WriteString("```\n")
	}
	return strings.TrimRight(b.String(), "\n")
}
