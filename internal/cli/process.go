package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"secretless/internal/admin"
	"secretless/internal/assemble"
	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/harden"
	"secretless/internal/relay"
	"secretless/internal/sdnotify"
)

// process is the running broker with everything around it.
type process struct {
	env     Env
	options serveOptions
	source  configSource
	log     *slog.Logger
	logs    *logging // log, to be changed while it is used

	assembler *assemble.Assembler
	broker    *broker.Broker
	relay     relay.Relay
	audit     *record
	servers   []*admin.Server
	telemetry *telemetry
	notify    *sdnotify.Notifier // of the service manager; nil without one

	applying sync.Mutex // one reload at a time
	stopping bool       // guarded by applying: no reload from now on
	ready    atomic.Bool
	started  time.Time // set before ready
	reloads  reloadStatus
	retries  *retries // nil where nobody follows the configuration; set before ready
	outside  string   // what a reload cannot change, as it runs
	// hardening is what the process has given up; nil before and where it may
	// not.
	hardening *harden.State
}

// start brings the broker up or leaves nothing behind.
func start(ctx context.Context, env Env, o serveOptions, from configSource, logs *logging) (*process, error) {
	read, err := from.read()
	if err != nil {
		return nil, err
	}
	log := logs.Logger
	p := &process{env: env, options: o, source: from, log: log, logs: logs}
	p.assembler = assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: log})
	file, built, err := p.load(read)
	if err != nil {
		from.report(verdict{err: err})
		return nil, usage(err)
	}
	logWarnings(log, built.Warnings)
	p.makeSocketPlace(file.Admin.Socket)
	if err := p.open(ctx, file, built); err != nil {
		from.report(verdict{err: err})
		return nil, err
	}
	from.report(verdict{warnings: built.Warnings, services: len(built.Configured)})
	p.openNotify()
	if from.changes() != nil { // begins to watch what was read
		p.retries = newRetries()
	}
	p.ready.Store(true) // from now on there are reloads
	p.notifyReady(nil)
	log.Info("ready", "version", versionText(), "config", from.String(), "services", len(built.Services))
	return p, nil
}

// load is load with what the command line says about the file.
func (p *process) load(s source) (*config.File, *assemble.Built, error) {
	file, built, err := load(p.assembler, s)
	if err != nil {
		return nil, nil, err
	}
	if file.Admin.Health, err = p.options.healthAddress(file.Admin.Health); err != nil {
		built.Discard()
		return nil, nil, err
	}
	return file, built, nil
}

// open starts what the file describes. On failure it closes what it opened.
func (p *process) open(ctx context.Context, file *config.File, built *assemble.Built) (err error) {
	applied := false
	defer func() {
		if err == nil {
			return
		}
		if !applied {
			built.Discard()
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		p.close(ended)
	}()
	if p.audit, err = openAudit(file.Audit, p.log); err != nil {
		return &exitError{code: ExitFailure, err: err}
	}
	if err := p.harden(file, built); err != nil {
		return &exitError{code: ExitFailure, err: err}
	}
	if p.options.requireCredentials {
		if err := checkCredentials(ctx, built.Configured); err != nil {
			return &exitError{code: ExitFailure, err: err}
		}
	}
	if p.relay, err = relay.New(relay.Options{Log: p.log}); err != nil {
		return &exitError{code: ExitFailure, err: fmt.Errorf("starting the relay: %w", err)}
	}
	p.telemetry = newTelemetry(p)
	p.broker = broker.New(broker.Options{
		Log: p.log, Relay: p.relay, Audit: p.audit.sink, Getenv: p.getenv, Identify: file.Admin.Socket != nil,
		Tracer: p.telemetry.exporter.Tracer(),
	})
	p.outside = outsideText(file)
	address, err := p.telemetry.open(file.Metrics.Listen)
	if err != nil {
		return &exitError{code: ExitFailure, err: err}
	}
	address.use()
	if err := p.openAdmin(file); err != nil {
		return &exitError{code: ExitFailure, err: err}
	}
	if err := p.audit.started(ctx, p.source.String(), len(built.Configured)); err != nil {
		return &exitError{code: ExitFailure, err: err}
	}
	applied = true
	if err := p.broker.Apply(ctx, built.Services); err != nil {
		built.Rejected()
		return &exitError{code: ExitFailure, err: err}
	}
	built.Commit()
	p.started = time.Now()
	p.telemetry.exporter.Use(built.OTLP)
	p.reloads.began()
	return nil
}

// reload is a reload that an administrator asks for. He is told what is wrong,
// and so is whoever reads the log later.
func (p *process) reload(ctx context.Context) error {
	return p.reloadAndLog(ctx, byAdmin, "admin socket")
}

// reloadBy reads the configuration again and applies it, or changes nothing.
func (p *process) reloadBy(ctx context.Context, by string) (err error) {
	p.applying.Lock()
	defer p.applying.Unlock()
	if p.stopping {
		return errors.New("the broker is stopping")
	}
	// What the start has read would be put into effect over it.
	if !p.ready.Load() {
		return errors.New("the broker is not ready: it is starting or stopping; try again")
	}
	p.logNotify(p.notify.Reloading())
	began := time.Now()
	defer func() {
		p.audit.reloaded(by, admin.Caller(ctx), began, err)
		p.reloads.record(err, time.Since(began))
		p.retries.ended(by, err)
		p.notifyReady(err)
	}()
	read, err := p.source.read()
	if err != nil {
		return err
	}
	var now verdict
	defer func() {
		now.err = err
		p.source.report(now)
	}()
	file, built, err := p.load(read)
	if err != nil {
		return err
	}
	now.warnings, now.services = built.Warnings, len(built.Configured)
	logWarnings(p.log, built.Warnings)
	if err := p.permitted(file, built); err != nil {
		built.Discard()
		return lastingError{err} // until the next start
	}
	if p.outside != outsideText(file) {
		p.log.Warn("changes of admin, audit, hardening and state take effect at the next start")
	}
	address, err := p.telemetry.open(file.Metrics.Listen)
	if err != nil {
		built.Discard()
		return err
	}
	if err := p.broker.Apply(ctx, built.Services); err != nil {
		address.undo()
		built.Rejected()
		return err
	}
	built.Commit()
	p.audit.serves(len(built.Configured))
	address.use()
	p.telemetry.exporter.Use(built.OTLP)
	return nil
}

// close drains and ends everything; when ctx ends, what still drains is cut.
func (p *process) close(ctx context.Context) {
	p.ready.Store(false)
	// Not held any longer: the admin socket's requests wait for it, and are
	// waited for below.
	p.applying.Lock()
	p.stopping = true
	p.applying.Unlock()
	p.retries.close()
	if p.broker != nil {
		if err := p.broker.Shutdown(ctx); err != nil {
			p.log.Warn("stopping the services", "error", err)
		}
	}
	for _, s := range p.servers {
		closeServer(s)
	}
	if p.telemetry != nil {
		p.telemetry.close()
	}
	if p.relay != nil {
		if err := p.relay.Close(); err != nil {
			p.log.Warn("stopping the relay", "error", err)
		}
	}
	if err := p.audit.close(); err != nil {
		p.log.Error("closing the audit log", "error", err)
	}
	p.assembler.Close()
}

// checksAtOnce bounds the services whose credentials are fetched at the same
// time before the start.
const checksAtOnce = 16

// checkCredentials is --require-credentials: every credential of every service
// must be there before anything listens.
func checkCredentials(ctx context.Context, services []*broker.Service) error {
	errs := make([]error, len(services))
	places := make(chan struct{}, checksAtOnce)
	var all sync.WaitGroup
	for n, s := range services {
		checker, ok := s.Credentials.(interface{ Check(context.Context) error })
		if !ok {
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if err := checker.Check(ctx); err != nil {
				errs[n] = fmt.Errorf("service %s: %w", s.Name, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (p *process) getenv(name string) string {
	v, _ := p.env.LookupEnv(name)
	return v
}

// outsideText is what only a restart changes, comparable.
func outsideText(f *config.File) string {
	audit := f.Audit
	audit.Pos = config.Pos{}
	return fmt.Sprintf("%v %v %v %v %v", f.Admin.Health, f.Admin.Socket, audit, f.State, f.Hardening)
}
