package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/assemble"
	"secretless/internal/broker"
	"secretless/internal/doctor"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	file   string
	json   bool
	strict bool
	atOnce int
	logs   logFlags
}

func doctorCommand(env Env) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [SERVICE...]",
		Short: "Fetch every credential, log in to every target, and say what is wrong",
		Long: `Fetch the credentials of every service, or of those that are named, log in to
their targets as for a client, and leave again. Nothing listens and no secret is
shown. For each failure it says what to do.

Exit codes: 0 all is well (warnings are printed), 1 something failed, or with
--strict there is a warning, 2 the command line or the configuration is wrong.`,
		Example: `  secretless doctor -f secretless.yml
  secretless doctor -f secretless.yml orders-db
  secretless doctor -f secretless.yml --json | jq '.services[] | select(.status == "failed")'`,
		RunE: func(cmd *cobra.Command, args []string) error { return runDoctor(cmd.Context(), env, o, args) },
	}
	configFlag(cmd, &o.file)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON in place of the table")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "take warnings for failures, such as a target that has not proved who it is")
	cmd.Flags().IntVar(&o.atOnce, "at-once", 8, "how many services are tried at the same time")
	o.logs.register(cmd.Flags(), "error")
	return cmd
}

func runDoctor(ctx context.Context, env Env, o doctorOptions, names []string) error {
	log, err := o.logs.logger(env)
	if err != nil {
		return err
	}
	if o.atOnce < 1 {
		return usage(errors.New("--at-once must be 1 or more"))
	}
	src, err := openConfig(env, o.file)
	if err != nil {
		return err
	}
	a := assemble.New(assemble.Options{LookupEnv: env.LookupEnv, Log: log})
	defer a.Close()
	_, built, err := load(a, src)
	if err != nil {
		return usage(err)
	}
	defer built.Discard()
	services, err := named(built.Configured, names)
	if err != nil {
		return usage(err)
	}
	for _, w := range built.Warnings {
		fmt.Fprintf(env.Stderr, "%s (warning)\n", w)
	}
	ctx, stop := untilSignal(ctx, env)
	defer stop()
	results := doctor.Examine(ctx, services, doctor.Options{AtOnce: o.atOnce, Log: log})
	if err := printResults(env, o.json, results); err != nil {
		return err
	}
	if slices.ContainsFunc(results, func(r doctor.Result) bool {
		return r.Status == doctor.Failed || o.strict && r.Status == doctor.Warned
	}) {
		return &exitError{code: ExitFailure}
	}
	return nil
}

// named are the services with those names, all if there are none.
func named(services []*broker.Service, names []string) ([]*broker.Service, error) {
	if len(names) == 0 {
		return services, nil
	}
	var out []*broker.Service
	var known []string
	for _, s := range services {
		known = append(known, s.Name)
		if slices.Contains(names, s.Name) {
			out = append(out, s)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("the configuration has no service %q; it has %s", name, strings.Join(known, ", "))
		}
	}
	return out, nil
}

// untilSignal is ctx until somebody interrupts the command.
func untilSignal(ctx context.Context, env Env) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals, unsubscribe := env.Notify(os.Interrupt, syscall.SIGTERM)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		waiting.Wait()
		unsubscribe()
	}
}

func printResults(env Env, asJSON bool, results []doctor.Result) error {
	if asJSON {
		return printJSON(env.Stdout, map[string]any{"services": results})
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tPROVIDERS\tLOOKUP\tCREDENTIALS\tTARGET\tTLS\tRESULT")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Service, dash(strings.Join(r.Providers, ",")),
			duration(r.Lookup), freshness(r), dash(r.Target), dash(r.TLS), outcome(r))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.Problem != "" {
			fmt.Fprintf(env.Stdout, "\n%s: %s\n  %s\n", r.Service, r.Problem, r.Advice)
		}
	}
	return nil
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	if d >= time.Millisecond {
		return d.Round(time.Millisecond).String()
	}
	return "<1ms"
}

// freshness is the age of the credentials and what is left of their lease.
func freshness(r doctor.Result) string {
	text := "fresh"
	switch age := time.Duration(r.Age * float64(time.Millisecond)); {
	case r.Kind == "credentials":
		return "-"
	case age >= 2*time.Second:
		text = age.Round(time.Second).String() + " old"
	}
	if r.Lease != nil {
		text += ", lease " + time.Until(*r.Lease).Round(time.Second).String()
	}
	return text
}

func outcome(r doctor.Result) string {
	switch {
	case r.Status == doctor.Failed:
		return "FAILED (" + r.Kind + ")"
	case r.Status == doctor.Warned:
		return "ok, with a warning"
	case r.Detail != "":
		return "ok (" + r.Detail + ")"
	}
	return "ok"
}
