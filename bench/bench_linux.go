package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// bench is one run: the targets, the relays, and what they have in common.
type bench struct {
	options  options
	dir      string // temporary, of this run alone
	pgbench  string
	limit    uint64 // of open descriptors
	postgres *postgresServer
	// loadBefore is the load average a core before anything was started.
	loadBefore float64
	fake       *fakeTarget
	relays     []relay
	fleet      *fleet
}

// openBench makes the directory and starts the targets.
func openBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o, loadBefore: loadPerCore()}
	if err := b.open(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) open(ctx context.Context) error {
	owner, err := serverAccount()
	if err != nil {
		return err
	}
	if b.limit, err = raiseDescriptorLimit(); err != nil {
		return err
	}
	if b.relays, err = relays(b.options); err != nil {
		return err
	}
	// Short: the paths of unix sockets may have 107 bytes.
	if b.dir, err = os.MkdirTemp("", "sb"); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o711); err != nil {
		return err
	}
	for i, r := range b.relays {
		if b.relays[i], err = r.installed(b.dir); err != nil {
			return err
		}
	}
	b.fleet = &fleet{owner: owner, dir: b.dir}
	if b.fake, err = startFakeTarget(filepath.Join(b.dir, "fake")); err != nil {
		return err
	}
	progress("starting and filling PostgreSQL")
	if b.postgres, err = startPostgres(ctx, owner, filepath.Join(b.dir, "pg")); err != nil {
		return err
	}
	b.pgbench = pgbenchProgram(b.postgres.bin)
	return nil
}

// close ends everything and removes the directory.
func (b *bench) close() {
	if b.postgres != nil {
		b.postgres.process.stop()
	}
	if b.fake != nil {
		b.fake.close()
	}
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

// target is what a relay that carries the load connects to.
func (b *bench) target(l load) target {
	if l.fake {
		return b.fake.target()
	}
	return target{port: b.postgres.port, password: b.postgres.password, encrypted: l.encrypted}
}

// direct is the load's endpoint without a relay.
func (b *bench) direct(l load) endpoint {
	if l.fake {
		return b.fake.direct(l.network)
	}
	return b.postgres.direct(l.network, l.encrypted)
}

// contender is one way through which a load is measured.
type contender struct {
	name     string
	endpoint endpoint
	relay    *instance // nil for direct
}

// contenders starts every relay that can carry the load. Those that fail to
// start are in the errors, by name; the caller stops the others.
func (b *bench) contenders(ctx context.Context, l load) (all []contender, failed map[string]error) {
	all = []contender{{name: direct, endpoint: b.direct(l)}}
	failed = map[string]error{}
	for _, r := range b.relays {
		if l.encrypted && !r.encrypts {
			continue
		}
		running, err := b.fleet.start(ctx, r, b.target(l))
		if err != nil {
			failed[r.name] = err
			continue
		}
		all = append(all, contender{name: r.name, endpoint: running.endpoint(l.network), relay: running})
	}
	return all, failed
}

// compare measures one load in alternating rounds. What fails of one contender
// is noted in its series and does not stop the others.
func (b *bench) compare(ctx context.Context, l load) (comparison, error) {
	all, failed := b.contenders(ctx, l)
	measured := map[string]*series{}
	for _, c := range all {
		if c.relay != nil {
			defer c.relay.stop()
		}
		measured[c.name] = &series{contender: c.name}
	}
	for name, err := range failed {
		measured[name] = &series{contender: name, failure: err.Error()}
	}
	for round := range b.options.rounds {
		for _, c := range rotated(all, round) {
			b.sample(ctx, l, c, round, measured[c.name])
			if ctx.Err() != nil {
				return comparison{}, context.Cause(ctx)
			}
		}
	}
	result := l.comparison
	for _, name := range []string{direct, broker, haproxy, nginx, pgbouncer} {
		if s := measured[name]; s != nil {
			result.series = append(result.series, *s)
		}
	}
	return result, nil
}

// sample runs the load once through one contender.
func (b *bench) sample(ctx context.Context, l load, c contender, round int, into *series) {
	if into.failure != "" {
		return
	}
	one, err := timed(ctx, l, c)
	if err != nil {
		into.failure = err.Error()
		progress("%s: %s: round %d: %v", l.name, c.name, round+1, err)
		return
	}
	one.round = round
	into.samples = append(into.samples, one)
	progress("%s: %s: round %d: %s %s, %.2f %s", l.name, c.name, round+1,
		figure(one.rate/l.unit.rateDivisor), l.unit.rate, one.cost*l.unit.costScale, l.unit.cost)
}

// timed takes the relay's CPU time before and after.
func timed(ctx context.Context, l load, c contender) (sample, error) {
	var before, after usage
	var err error
	if c.relay != nil {
		if before, err = c.relay.usage(); err != nil {
			return sample{}, err
		}
	}
	done, err := l.run(ctx, c.endpoint)
	if err != nil {
		return sample{}, err
	}
	if c.relay != nil {
		if after, err = c.relay.usage(); err != nil {
			return sample{}, err
		}
	}
	if done.work <= 0 {
		return sample{}, errors.New("no work was done")
	}
	return sample{rate: done.perSecond(), cost: (after.cpuSeconds - before.cpuSeconds) / done.work}, nil
}

// progress tells the user what goes on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
