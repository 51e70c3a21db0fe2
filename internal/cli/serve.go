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
	watch              bool
	requireCredentials bool
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
  kubectl get secret app -o … | secretless serve -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), env, o) },
	}
	configFlag(cmd, &o.file)
	cmd.Flags().StringVar(&o.manager, "config-mgr", "", "where the configuration comes from: configfile#PATH, as -f PATH")
	cmd.Flags().BoolVar(&o.watch, "watch", false, "reload when the configuration file changes")
	cmd.Flags().BoolVar(&o.requireCredentials, "require-credentials", false, "do not start unless every credential can be fetched")
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
	pace := tuneMemory(env)
	signals, stop := env.Notify(lifecycleSignals()...)
	defer stop()
	from, err := openSource(env, o)
	if err != nil {
		return err
	}
	defer from.close()
	p, err := start(ctx, env, o, from, log)
	if err != nil {
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
			return p.stop(signals, "context ended")
		case _, ok := <-changes:
			if !ok { // there will be no more
				changes = nil
				continue
			}
			p.reloadAndLog(ctx, p.source.String()+" changed")
		case s := <-signals:
			if !isReload(s) {
				return p.stop(signals, s.String())
			}
			p.reloadAndLog(ctx, s.String())
		}
	}
}

// stop drains and ends everything; a second stop signal cuts the drain short.
func (p *process) stop(signals <-chan os.Signal, why string) error {
	p.log.Info("stopping", "reason", why)
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

func (p *process) stopped(second os.Signal) error {
	p.log.Info("stopped")
	if second != nil {
		return &exitError{code: signalExitCode(second)}
	}
	return nil
}

// reloadAndLog is a reload that nobody waits for.
func (p *process) reloadAndLog(ctx context.Context, why string) {
	err := p.reload(ctx)
	if list, ok := errors.AsType[config.Errors](err); ok {
		for _, d := range list {
			p.log.Error("configuration not reloaded, the running one stays", "reason", why, "at", d.Place(), "error", d.Text)
		}
		return
	}
	if err != nil {
		p.log.Error("configuration not reloaded, the running one stays", "reason", why, "error", err)
		return
	}
	p.log.Info("configuration reloaded", "reason", why, "services", len(p.broker.Status()))
}

func logWarnings(log *slog.Logger, warnings []config.Diagnostic) {
	for _, w := range warnings {
		log.Warn("configuration", "at", w.Place(), "warning", w.Text)
	}
}
