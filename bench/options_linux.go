package main

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
)

// options is the command line.
type options struct {
	rounds  int
	seconds int
	only    *regexp.Regexp // nil for every load
	relays  *regexp.Regexp // nil for every contender
	quick   bool
	out     string // the document to rewrite; empty for standard output
	broker  string // the broker's binary
	targets string // the directory of the project's own test targets
}

// defaultDocument holds the markers between which the tables are written.
const defaultDocument = "docs/performance.md"

func parseOptions(args []string) (options, error) {
	var (
		o            options
		only, relays string
	)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "alternating `rounds` of every load")
	flags.IntVar(&o.seconds, "seconds", 3, "`seconds` of every timed run")
	flags.StringVar(&only, "only", "", "measure only loads whose name matches `regexp` (idle and startup are names too)")
	flags.StringVar(&relays, "relays", "", "compare only contenders whose name matches `regexp`; direct is always measured")
	flags.BoolVar(&o.quick, "quick", false, "about five minutes: fewer loads, 3 rounds of 1 second")
	flags.StringVar(&o.out, "out", "", "rewrite the tables in this `file` (default "+defaultDocument+", standard output with -only or -relays)")
	flags.StringVar(&o.broker, "broker", "bin/secretless", "the broker's `binary`")
	flags.StringVar(&o.targets, "targets", "bin", "`directory` of mysqlfacade and tdsserver, the test targets")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick && !given["rounds"] {
		o.rounds = 3
	}
	if o.quick && !given["seconds"] {
		o.seconds = 1
	}
	if o.out == "" && !given["out"] && !given["only"] && !given["relays"] {
		o.out = defaultDocument
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.seconds < 1 {
		return o, errors.New("want no arguments, and -rounds and -seconds of at least 1")
	}
	var err error
	if o.only, err = optionalPattern("only", only); err != nil {
		return o, err
	}
	o.relays, err = optionalPattern("relays", relays)
	return o, err
}

func optionalPattern(name, pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	compiled, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil, fmt.Errorf("flag -%s: %w", name, err)
	}
	return compiled, nil
}

// wants says whether the load of that name is to be measured.
func (o options) wants(name string) bool { return o.only == nil || o.only.MatchString(name) }

// compares says whether the contender is to be measured.
func (o options) compares(contender string) bool {
	return o.relays == nil || o.relays.MatchString(contender)
}
