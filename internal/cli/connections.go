package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"secretless/internal/admin"
	"secretless/internal/top"
)

// connectionOptions are the flags of connections.
type connectionOptions struct {
	adminFlags
	service string
	limit   int
	json    bool
}

func connectionsCommand(env Env) *cobra.Command {
	var o connectionOptions
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "List the running broker's open connections",
		Long: `List the connections that are open now, the oldest first: who has connected, to
what, what it is doing (handshake, relaying, or serving where the broker speaks
the protocol to the end), its bytes, and for how long nothing has passed. The
process is known for unix sockets, the user for TCP from this machine.`,
		Example: `  secretless connections
  secretless connections --service orders-db --limit 20
  secretless connections --json | jq '.connections[] | select(.idle > 3600) | .id'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return connections(cmd.Context(), env, o) },
	}
	o.register(cmd)
	cmd.Flags().StringVar(&o.service, "service", "", "only those of this service")
	cmd.Flags().IntVar(&o.limit, "limit", 1000, "list so many at most")
	cmd.Flags().BoolVar(&o.json, "json", false, "print everything that is known as one JSON object")
	return cmd
}

func connections(ctx context.Context, env Env, o connectionOptions) error {
	if o.limit < 1 {
		return usage(fmt.Errorf("--limit %d: list one at least", o.limit))
	}
	client, err := o.client(env)
	if err != nil {
		return err
	}
	list, err := allConnections(ctx, client, o.service, o.limit)
	if err != nil {
		return failed(err)
	}
	if o.json {
		return printJSON(env.Stdout, list)
	}
	return printConnections(env.Stdout, list, time.Now())
}

// allConnections asks for page after page.
func allConnections(ctx context.Context, client *admin.Client, service string, limit int) (admin.Connections, error) {
	all := admin.Connections{Connections: []admin.Connection{}}
	for after := uint64(0); len(all.Connections) < limit; {
		page, err := client.Connections(ctx, service, after, min(limit-len(all.Connections), admin.MaxPage))
		if err != nil {
			return all, err
		}
		all.Total, all.Next = page.Total, page.Next
		all.Connections = append(all.Connections, page.Connections...)
		if page.Next <= after {
			break
		}
		after = page.Next
	}
	return all, nil
}

func printConnections(to io.Writer, list admin.Connections, now time.Time) error {
	t := newTable(to)
	t.row("ID", "SERVICE", "STATE", "CLIENT", "TARGET", "AGE", "IDLE", "TO TARGET", "TO CLIENT")
	for _, c := range list.Connections {
		t.row(c.ID, c.Service, connectionState(c), clientName(c), c.Target, top.Age(now.Sub(c.Since)), idleText(c),
			top.Bytes(float64(c.BytesToTarget)), top.Bytes(float64(c.BytesToClient)))
	}
	if err := t.end(); err != nil {
		return err
	}
	if n := len(list.Connections); n < list.Total {
		_, err := fmt.Fprintf(to, "%d of %d connections\n", n, list.Total)
		return err
	}
	return nil
}

func connectionState(c admin.Connection) string {
	if c.Draining {
		return string(c.State) + " (draining)"
	}
	return string(c.State)
}

// clientName is what is known of the program at the other end.
func clientName(c admin.Connection) string {
	switch p := c.Peer; {
	case p == nil:
		return c.Remote
	case p.Executable != "":
		return fmt.Sprintf("%s[%d] uid %d", filepath.Base(p.Executable), p.PID, p.UID)
	case p.PID != 0:
		return fmt.Sprintf("pid %d uid %d", p.PID, p.UID)
	default:
		return fmt.Sprintf("uid %d %s", p.UID, c.Remote)
	}
}

func idleText(c admin.Connection) string {
	if c.Idle == nil {
		return ""
	}
	return top.Age(time.Duration(*c.Idle * float64(time.Second)))
}

func closeCommand(env Env) *cobra.Command {
	var flags adminFlags
	cmd := &cobra.Command{
		Use:   "close ID...",
		Short: "Close open connections of the running broker",
		Long: `Close connections by their ID, which connections, top and the audit show. A
client that is logging in is told so in its protocol where the connector can; one
whose bytes are relayed finds its connection closed. The audit says that an
administrator did it.`,
		Example: "  secretless close 4711",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := make([]uint64, len(args))
			for n, arg := range args {
				id, err := strconv.ParseUint(arg, 10, 64)
				if err != nil {
					return usage(fmt.Errorf("%q is no ID of a connection: it is a number, which secretless connections shows", arg))
				}
				ids[n] = id
			}
			client, err := flags.client(env)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := client.CloseConnection(cmd.Context(), id); err != nil {
					return failed(err)
				}
				fmt.Fprintf(env.Stdout, "connection %d is closed\n", id)
			}
			return nil
		},
	}
	flags.register(cmd)
	return cmd
}
