package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"secretless/internal/admin"
	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/resource"
)

// awaitStart starts the broker with the first configuration that works, and
// meanwhile answers that it is alive and not ready. It returns nil for both
// where a signal has ended that.
func awaitStart(ctx context.Context, env Env, o serveOptions, from configSource, signals <-chan os.Signal, log *logging) (*process, error) {
	var pauses backoff
	for {
		p, err := start(ctx, env, o, from, log)
		if err == nil || !from.waits() || errors.Is(err, errConfined) {
			return p, err
		}
		if !errors.Is(err, resource.ErrNone) { // which the source logs itself
			logRejected(log.Logger, "the broker waits for a configuration that works", from.String(), err)
		}
		var later <-chan time.Time
		if passing(err) {
			later = time.After(pauses.next())
		}
		again, err := o.awaitChange(ctx, from, signals, later, log.Logger)
		if err != nil || again == stop {
			return nil, err
		}
		if again == changed {
			pauses = backoff{}
		}
	}
}

// reason is why it is worth another try.
type reason int

const (
	stop    reason = iota // it is not: the broker ends
	changed               // or somebody asks for it
	waited
)

// sayWaiting is how often a broker that has no configuration says so.
const sayWaiting = time.Minute

// awaitChange waits until it is worth another try.
func (o serveOptions) awaitChange(ctx context.Context, from configSource, signals <-chan os.Signal, later <-chan time.Time, log *slog.Logger) (reason, error) {
	health, err := o.waitingHealth(log)
	if err != nil {
		return stop, err
	}
	defer health()
	again := time.NewTicker(sayWaiting)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			log.Warn("still waiting for a configuration that works", "config", from.String(), "state", from.state())
		case <-ctx.Done():
			return stop, nil
		case <-from.changes():
			return changed, nil
		case <-later:
			return waited, nil
		case s := <-signals:
			if isReload(s) {
				return changed, nil
			}
			log.Info("stopped", "reason", s.String())
			return stop, nil
		}
	}
}

// waitingHealth opens the health endpoint of a broker that has no configuration
// to say where that is, and returns what closes it.
func (o serveOptions) waitingHealth(log *slog.Logger) (func(), error) {
	address, err := o.healthAddress(&config.Listen{Network: "tcp", Address: config.DefaultHealth})
	if err != nil || address == nil {
		return func() {}, err
	}
	l, err := broker.Listen(broker.Address{Network: address.Network, Address: address.Address})
	if err != nil {
		log.Warn("no health endpoint while the broker waits for its configuration", "address", address.String(), "error", err)
		return func() {}, nil
	}
	server := admin.Serve(l, admin.Health(func() bool { return false }), log)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Close(ctx)
	}, nil
}

// healthAddress is --health, or else what the configuration says.
func (o serveOptions) healthAddress(configured *config.Listen) (*config.Listen, error) {
	switch o.health {
	case "":
		return configured, nil
	case "off":
		return nil, nil
	}
	l, err := config.ParseListen(o.health)
	if err != nil {
		return nil, usage(fmt.Errorf("--health %q %w", o.health, err))
	}
	l.Pos = config.Pos{Line: 1, Column: 1} // said, and no default that may be taken
	return &l, nil
}
