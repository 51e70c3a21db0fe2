package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// bench is one run: the targets, the relays, and what they have in common.
type bench struct {
	options options
	dir     string // temporary, of this run alone
	limit   uint64 // of open descriptors
	// loadBefore is the load average a core before anything was started.
	loadBefore float64
	servers    []started
	relays     []relay
	fleet      *fleet
}

// openBench makes the directory and finds what is to be compared. Targets start
// when they are needed.
func openBench(o options) (*bench, error) {
	b := &bench{options: o, loadBefore: loadPerCore()}
	if err := b.open(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) open() error {
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
		if r.name != broker {
			continue
		}
		if b.relays[i].program, err = b.installed(r.program); err != nil {
			return err
		}
	}
	b.fleet = &fleet{owner: owner, dir: b.dir}
	return nil
}

// installed copies a program to where the account can execute it: a checkout is
// often its owner's alone.
func (b *bench) installed(program string) (string, error) {
	return installedIn(b.dir, program)
}

func installedIn(dir, program string) (string, error) {
	binary, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("copying a program: %w; script/bench builds it", err)
	}
	copied := filepath.Join(dir, filepath.Base(program))
	if err := os.WriteFile(copied, binary, 0o755); err != nil {
		return "", fmt.Errorf("copying a program: %w", err)
	}
	return copied, nil
}

// close ends everything and removes the directory.
func (b *bench) close() {
	b.stopServers()
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
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
	target, err := b.server(ctx, l.kind)
	if err != nil {
		return nil, map[string]error{direct: err}
	}
	all = []contender{{name: direct, endpoint: target.direct(l.way)}}
	failed = map[string]error{}
	carriers := l.relays
	if !l.alone {
		carriers = slices.Concat(b.relays, l.relays)
	}
	for _, r := range carriers {
		if !r.carries(target.target(l.encrypted)) {
			continue
		}
		running, err := b.fleet.start(ctx, r, target.target(l.encrypted))
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
		progress("%s: %s: %v", l.name, name, err)
		measured[name] = &series{contender: name, failure: err.Error()}
	}
	for round := range b.options.rounds {
		for _, c := range rotated(all, round) {
			b.sample(ctx, l, c, round, measured[c.name])
		}
	}
	result := l.comparison
	for _, name := range []string{direct, broker, brokerSpare, brokerObserved, unmatched, bareProxy, haproxy, nginx, byHost, pgbouncer, sshJump} {
		if s := measured[name]; s != nil {
			result.series = append(result.series, *s)
		}
	}
	return result, context.Cause(ctx)
}

// sample runs the load once through one contender.
func (b *bench) sample(ctx context.Context, l load, c contender, round int, into *series) {
	if into.failure != "" || ctx.Err() != nil {
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
	counted := c.relay != nil && !c.relay.uncounted
	if counted {
		if before, err = c.relay.usage(); err != nil {
			return sample{}, err
		}
	}
	done, err := l.run(ctx, c.endpoint)
	if err != nil {
		return sample{}, err
	}
	if counted {
		if after, err = c.relay.usage(); err != nil {
			return sample{}, err
		}
	}
	if done.work <= 0 {
		return sample{}, errors.New("no work was done")
	}
	return sample{
		rate: done.perSecond(), cost: (after.cpuSeconds - before.cpuSeconds) / done.work, latency: done.latency,
	}, nil
}

// progress tells the user what goes on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
