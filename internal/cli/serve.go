package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/config"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	file               string
	manager            string
	health             string
	confined           *confinement
	watch              bool
	requireCredentials bool
	hardening          string
	logs               logFlags
}

func serveCommand(env Env) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the broker (the default command)",
		Long: `Run the broker until SIGTERM or SIGINT. SIGHUP or SIGUSR1 reads the
configuration again; a bad file changes nothing. On SIGTERM or SIGINT it stops
accepting and lets connections live on for their service's drain time; a second
signal cuts that short.

Exit codes: 0 stopped in order, 1 could not start, 2 the command line or the
configuration is wrong, 130 or 143 stopped by a second signal.`,
		Example: `  secretless serve -f secretless.yml
  secretless -f secretless.yml --watch      reload when the file changes
  secretless --config-mgr k8s/crd#orders    follow a custom resource of Kubernetes
  kubectl get secret app -o … | secretless serve -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), env, o) },
	}
	configFlag(cmd, &o.file)
	cmd.Flags().StringVar(&o.manager, "config-mgr", "", "where the configuration comes from: configfile#PATH, as -f PATH, or k8s/crd#NAME, a custom resource of the pod's namespace, which is watched")
	cmd.Flags().StringVar(&o.health, "health", "", "address of the health endpoint, or off, in place of admin.health")
	cmd.Flags().BoolVar(&o.watch, "watch", false, "reload when the configuration file changes")
	cmd.Flags().BoolVar(&o.requireCredentials, "require-credentials", false, "do not start unless every credential can be fetched")
	cmd.Flags().StringVar(&o.hardening, "hardening", "", "default, strict or off, in place of what the configuration says (also $SECRETLESS_HARDENING)")
	o.logs.register(cmd.Flags(), "info")
	return cmd
}

// configFlag adds -f/--config.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "f", "",
		"configuration file, - for standard input (default: ./secretless.yml, ~/.secretless.yml or /etc/secretless.yml)")
}

func serve(ctx context.Context, env Env, o serveOptions) error {
	log, err := o.logs.open(env)
	if err != nil {
		return err
	}
	o.confined = &confinement{}
	if err := o.hide(env, log.Logger); err != nil {
		return err
	}
	defer log.level.Close()
	pace := tuneMemory(env)
	signals, stop := env.Notify(lifecycleSignals()...)
	defer stop()
	from, err := openSource(env, o, log.Logger)
	if err != nil {
		return err
	}
	defer from.close()
	p, err := awaitStart(ctx, env, o, from, signals, log)
	if p == nil {
		return err
	}
	defer p.notify.Close()
	pace.follow()
	defer pace.stop()
	return p.run(ctx, signals, pace)
}

// run is the main loop: reloads one after the other until a signal says stop.
func (p *process) run(ctx context.Context, signals <-chan os.Signal, pace *pacer) error {
	changes := p.source.changes()
	defer p.answerWatchdog()() // while it drains, too
	looks := time.NewTicker(trimEvery)
	defer looks.Stop()
	var memory trimmer
	for {
		select {
		case <-looks.C:
			memory.look(p.broker.Status())
			pace.look(readMetric("/gc/heap/allocs:bytes"))
		case <-ctx.Done():
			return p.stop(signals, byContext, "context ended")
		case _, ok := <-changes:
			if !ok { // there will be no more
				changes = nil
				continue
			}
			_ = p.reloadAndLog(ctx, byWatch, p.source.String()+" changed")
		case <-p.retries.C():
			if p.retry() {
				_ = p.reloadAndLog(ctx, byRetry, "the last reload failed, and may succeed now")
			}
		case s := <-signals:
			if !isReload(s) {
				return p.stop(signals, bySignal, s.String())
			}
			_ = p.reloadAndLog(ctx, bySignal, s.String())
		}
	}
}

// stop drains and ends everything; a second stop signal cuts the drain short.
func (p *process) stop(signals <-chan os.Signal, by, why string) error {
	p.audit.stops(by)
	p.log.Info("stopping", "reason", why)
	if n := p.openConnections(); n > 0 {
		p.log.Info("waiting for connections to end, at most for the drain of their service; a second signal ends them at once", "connections", n)
	}
	p.logNotify(p.notify.Stopping())
	// Not derived from the command's context, which may have ended: that is
	// what starts the drain, not what cuts it short.
	ctx, cutShort := context.WithCancel(context.Background())
	defer cutShort()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.close(ctx)
	}()
	var second os.Signal
	for {
		select {
		case <-done:
			return p.stopped(second)
		case s := <-signals:
			if isReload(s) {
				continue
			}
			p.log.Warn("stopping at once", "reason", s.String())
			second = s
			cutShort()
		}
	}
}

func (p *process) openConnections() (n int64) {
	for _, s := range p.broker.Status() {
		n += s.Active
	}
	return n
}

func (p *process) stopped(second os.Signal) error {
	p.log.Info("stopped")
	if second != nil {
		return &exitError{code: signalExitCode(second)}
	}
	return nil
}

// reloadAndLog is a reload with its outcome in the log.
func (p *process) reloadAndLog(ctx context.Context, by, why string) error {
	err := p.reloadBy(ctx, by)
	if err != nil {
		logRejected(p.log, "configuration not reloaded, the running one stays", why, err)
		return err
	}
	p.log.Info("configuration reloaded", "reason", why, "services", configured(p.broker.Status()))
	return nil
}

// logRejected logs every mistake of a configuration that is not taken.
func logRejected(log *slog.Logger, what, why string, err error) {
	list, ok := errors.AsType[config.Errors](err)
	if !ok {
		log.Error(what, "reason", why, "error", err)
		return
	}
	for _, d := range list {
		log.Error(what, "reason", why, "at", d.Place(), "error", d.Text)
	}
}

func logWarnings(log *slog.Logger, warnings []config.Diagnostic) {
	for _, w := range warnings {
		log.Warn("configuration", "at", w.Place(), "warning", w.Text)
	}
}
