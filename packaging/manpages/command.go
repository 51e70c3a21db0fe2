package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// tree writes a page for c and for each command below it.
func (p pages) tree(c *cobra.Command) error {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			if err := p.tree(sub); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(p.dir, pageName(c)+".1"), p.command(c), 0o644)
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// command is the page of c, in the man macros of man(7).
func (p pages) command(c *cobra.Command) []byte {
	c.InitDefaultHelpFlag()
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %q 1 %s %q Secretless\n", strings.ToUpper(pageName(c)), p.day.Format(time.DateOnly), p.source)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(pageName(c)), escape(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", escape(c.UseLine()))
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s", paragraphs(about))
	if c.HasAvailableFlags() {
		b.WriteString(".SH OPTIONS\n")
		c.Flags().VisitAll(func(f *pflag.Flag) { b.WriteString(option(f)) })
	}
	if c.HasExample() {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", escape(c.Example))
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(related(c), ",\n"))
	return b.Bytes()
}

func option(f *pflag.Flag) string {
	if f.Hidden {
		return ""
	}
	name := `\fB\-\-` + escape(f.Name) + `\fR`
	if f.Shorthand != "" {
		name = `\fB\-` + f.Shorthand + `\fR, ` + name
	}
	kind, about := pflag.UnquoteUsage(f)
	if kind != "" {
		name += ` \fI` + escape(kind) + `\fR`
	}
	if d := f.DefValue; d != "" && d != "false" && d != "[]" {
		about += " (default: " + d + ")"
	}
	return ".TP\n" + name + "\n" + escape(about) + "\n"
}

// related are the pages beside c, above and below it.
func related(c *cobra.Command) []string {
	var names []string
	if c.HasParent() {
		names = append(names, pageName(c.Parent()))
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			names = append(names, pageName(sub))
		}
	}
	for i, name := range names {
		names[i] = `\fB` + escape(name) + `\fR(1)`
	}
	return append(names, `\fBsecretless.yml\fR(5)`)
}

// paragraphs keeps indented lines as they are and lets the others flow.
func paragraphs(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		part = strings.ReplaceAll(escape(strings.Trim(part, "\n")), "\t", "    ")
		if strings.HasPrefix(part, " ") {
			part = ".nf\n" + part + "\n.fi"
		}
		b.WriteString(part + "\n")
	}
	return b.String()
}

// escape makes text mean itself in roff: also a line that begins like a request.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
