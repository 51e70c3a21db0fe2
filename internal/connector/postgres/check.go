package postgres

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
)

// maintenance is the database that every cluster has.
const maintenance = "postgres"

// Check logs in as for a client that names no database: where the service
// does not say which, the one that administrators connect to.
func (c *Connector) Check(ctx context.Context, s *connector.Session) (report connector.Report, err error) {
	err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) error {
		settings, err := readSettings(set)
		if err != nil {
			return err
		}
		report.Target = settings.plan.Address.String()
		client := startup{version: pgproto3.ProtocolVersion30}
		client.add("application_name", "secretless doctor")
		if settings.database == "" {
			client.add("database", maintenance)
		}
		out, err := c.logIn(ctx, s, client, set)
		if err != nil {
			return err
		}
		defer out.conn.Close()
		report = out.plan.Report(out.conn)
		report.Detail = versionOf(out.seen)
		terminate, err := (&pgproto3.Terminate{}).Encode(nil)
		if err == nil { // without it the target's log tells of a lost connection
			_, _ = out.conn.Write(terminate)
		}
		return nil
	})
	return report, err
}

// versionOf finds server_version in the messages before ReadyForQuery.
func versionOf(seen []byte) string {
	for len(seen) > headerSize {
		kind, length := seen[0], int(binary.BigEndian.Uint32(seen[1:]))+1
		if length < headerSize || length > len(seen) {
			return ""
		}
		var status pgproto3.ParameterStatus
		if kind == 'S' && status.Decode(seen[headerSize:length]) == nil && status.Name == "server_version" {
			return "PostgreSQL " + database.Quote(status.Value)
		}
		seen = seen[length:]
	}
	return ""
}
