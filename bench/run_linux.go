package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// run measures what the arguments ask for and writes the report.
func run(args []string) error {
	if len(args) == 3 && args[0] == bareProxyFlag {
		return serveBareProxy(args[1], args[2])
	}
	if len(args) == 4 && args[0] == httpTargetFlag {
		return serveHTTPTarget(args[1], args[2], args[3])
	}
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A second signal ends this program at once, and with it its children.
	defer context.AfterFunc(ctx, stop)()

	b, err := openBench(o)
	if err != nil {
		return err
	}
	defer b.close()
	measured, err := b.measure(ctx)
	if err != nil {
		return err
	}
	return publish(o, measured)
}

// measure runs the whole suite.
func (b *bench) measure(ctx context.Context) (results, error) {
	r := results{
		date: time.Now().UTC(), rounds: b.options.rounds, seconds: b.options.seconds, quick: b.options.quick,
		load: b.loadBefore,
	}
	if b.options.wants("startup") {
		r.starts = b.startups(ctx)
	}
	for _, l := range b.suite() {
		c, err := b.compare(ctx, l)
		if err != nil {
			return r, err
		}
		r.comparisons = append(r.comparisons, c)
	}
	if b.options.wants("idle") {
		r.idle, r.left = b.idle(ctx)
	}
	if b.options.wants(memoryLoad) {
		r.memory = b.memory(ctx)
	}
	r.facts = b.machine(ctx)
	return r, context.Cause(ctx)
}

// publish writes the report where it was asked for, then fails if anything
// could not be measured.
func publish(o options, r results) error {
	text := render(r)
	if o.out == "" {
		fmt.Println(text)
	} else {
		if err := rewriteFile(o.out, text); err != nil {
			fmt.Println(text) // an hour's work must not be lost
			return err
		}
		progress("the tables are in %s", o.out)
	}
	if failures := r.failures(); len(failures) > 0 {
		return fmt.Errorf("%d measurements failed, see the end of the report", len(failures))
	}
	return nil
}
