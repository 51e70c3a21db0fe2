// Command manpages writes the manual pages of a release: one for each command,
// from the command itself, one for the old broker's flags, and secretless.yml(5),
// which is docs/configuration.md.
//
//	go run ./packaging/manpages -version v1.2.3 -date 2026-11-27 DIR
//
// It runs in the root of the repository and is not part of the program.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"

	"secretless/internal/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("manpages", flag.ContinueOnError)
	version := flags.String("version", "devel", "the version that the pages name")
	date := flags.String("date", "", "the day that the pages name, as 2026-11-27")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name the directory to write to")
	}
	day, err := time.Parse(time.DateOnly, *date)
	if err != nil {
		return fmt.Errorf("-date: %w", err)
	}
	p := pages{dir: flags.Arg(0), source: "Secretless " + *version, day: day}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	return errors.Join(p.commands(), p.markdown("secretless-broker", 1, "packaging/secretless-broker.1.markdown"), p.configuration())
}

// pages is what all pages have in common.
type pages struct {
	dir    string
	source string
	day    time.Time
}

// commands writes a page for each command of the program.
func (p pages) commands() error {
	root := cli.Commands()
	root.InitDefaultCompletionCmd()
	return p.tree(root)
}

// configuration writes secretless.yml(5).
func (p pages) configuration() error {
	return p.markdown("secretless.yml", 5, "docs/configuration.md")
}

// markdown writes the page name(section) from a file whose first heading is
// what the page is about.
func (p pages) markdown(name string, section int, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	about, ok := bytes.CutPrefix(first, []byte("# "))
	if !ok {
		return fmt.Errorf("%s does not begin with a heading", path)
	}
	var page bytes.Buffer
	fmt.Fprintf(&page, "%s %d %q %q Secretless\n==================================================\n\n", name, section, p.day.Format(time.DateOnly), p.source)
	fmt.Fprintf(&page, "# NAME\n\n%s - %s%s\n\n# DESCRIPTION\n\n", name, bytes.ToLower(about[:1]), about[1:])
	page.WriteString(plain(string(rest)))
	return os.WriteFile(filepath.Join(p.dir, fmt.Sprintf("%s.%d", name, section)), md2man.Render(page.Bytes()), 0o644)
}
