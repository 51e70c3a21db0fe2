package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
	"secretless/internal/broker"
	"secretless/internal/plainjson"
	"secretless/internal/top"
)

func statusCommand(env Env) *cobra.Command {
	var flags adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the running broker's services, providers and last errors",
		Long: `Show what the running broker does: its services with their addresses and
counters, its providers, and the last error of each service. OPEN counts the
connections that are open now, everything else is counted from the start of the
service. FAILED are connections that were not established and, of HTTP services,
requests that the broker could not serve. No secret is shown.`,
		Example: `  secretless status
  secretless status --socket /run/secretless/admin.sock
  secretless status --json | jq '.services[].active'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client(env)
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return printJSON(env.Stdout, status)
			}
			return printStatus(env.Stdout, status)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print everything that is known as one JSON object")
	return cmd
}

// printJSON is for programs, and for eyes: nothing in it drives a terminal.
func printJSON(to io.Writer, v any) error {
	enc := json.NewEncoder(plainjson.Writer(to))
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func printStatus(to io.Writer, s admin.Status) error {
	fmt.Fprintln(to, top.Escape(headline(s)))
	fmt.Fprintln(to, top.Escape(configLine(s)))
	if s.Hardening != nil {
		fmt.Fprintln(to, "hardening "+top.Escape(s.Hardening.String()))
	}
	if l := s.LogLevel; l.Until != nil {
		fmt.Fprintf(to, "log level %s for another %s, then %s\n", top.Escape(l.Level), top.Age(l.Until.Sub(s.Now)), top.Escape(l.Then))
	}
	if s.Reloads.LastError != "" {
		fmt.Fprintln(to, "the last reload failed, the configuration before it is running:")
		for line := range strings.Lines(s.Reloads.LastError) {
			fmt.Fprintln(to, "  "+top.Escape(strings.TrimRight(line, "\n")))
		}
	}
	fmt.Fprintln(to)
	t := newTable(to)
	t.row("SERVICE", "CONNECTOR", "STATE", "ADDRESSES", "OPEN", "ACCEPTED", "REFUSED", "FAILED", "TO TARGET", "TO CLIENT")
	for _, v := range s.Services {
		t.row(serviceName(v), v.Connector, serviceState(v), strings.Join(v.Addresses, " "), v.Active, v.Accepted, v.Refused, v.Failed+v.RequestsFailed,
			top.Bytes(float64(v.BytesToTarget)), top.Bytes(float64(v.BytesToClient)))
	}
	if err := t.end(); err != nil {
		return err
	}
	if err := printProviders(to, s); err != nil {
		return err
	}
	return printErrors(to, s)
}

func headline(s admin.Status) string {
	text := fmt.Sprintf("%s, process %d, %s", s.Version, s.PID, readiness(s))
	if !s.Started.IsZero() {
		text += ", up for " + top.Age(s.Now.Sub(s.Started))
	}
	return text
}

func readiness(s admin.Status) string {
	if s.Ready {
		return "ready"
	}
	return "not ready"
}

func configLine(s admin.Status) string {
	text := fmt.Sprintf("%s, %s, %d failed", s.Config, plural(s.Reloads.Succeeded, "reload"), s.Reloads.Failed)
	if s.Reloads.LastTime != nil {
		text += fmt.Sprintf(", the last %s ago", top.Age(s.Now.Sub(*s.Reloads.LastTime)))
	}
	if s.Source != "" {
		text += "; " + s.Source
	}
	return text
}

func serviceName(s broker.ServiceStatus) string {
	if len(s.Members) > 0 {
		return strings.Join(s.Members, ",")
	}
	return s.Name
}

func serviceState(s broker.ServiceStatus) string {
	switch {
	case s.Drained && s.Draining > 0:
		return fmt.Sprintf("draining, %d left", s.Draining)
	case s.Drained:
		return "drained"
	case len(s.Addresses) == 0:
		return "ending"
	case s.Draining > 0:
		return fmt.Sprintf("running, %d from before", s.Draining)
	}
	return "running"
}

func printProviders(to io.Writer, s admin.Status) error {
	if len(s.Providers) == 0 {
		return nil
	}
	fmt.Fprintln(to)
	t := newTable(to)
	t.row("PROVIDER", "STATE", "LOOKUPS", "HITS", "FAILURES", "LAST ANSWER", "LAST FAILURE")
	for _, p := range s.Providers {
		state := "ok"
		if p.Down {
			state = "down"
		}
		failure := ago(p.Failed, s.Now)
		if p.LastError != "" {
			failure += ": " + p.LastError
		}
		t.row(p.Name, state, p.Lookups, p.Hits, p.Failures, ago(p.Answered, s.Now), failure)
	}
	return t.end()
}

func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return ""
	}
	return top.Age(now.Sub(*t)) + " ago"
}

func printErrors(to io.Writer, s admin.Status) error {
	if len(s.Errors) == 0 {
		return nil
	}
	fmt.Fprintln(to, "\nLast warnings and errors:")
	t := newTable(to)
	for _, e := range s.Errors {
		t.row("  "+top.Age(s.Now.Sub(e.Time))+" ago", e.Service, e.Text)
	}
	return t.end()
}
