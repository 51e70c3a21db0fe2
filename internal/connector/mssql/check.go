package mssql

import (
	"context"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/wire/tds"
)

// Check logs in as for a client that asks for nothing in particular.
func (c *Connector) Check(ctx context.Context, s *connector.Session) (report connector.Report, err error) {
	client := &opening{login: tds.Login7{
		TDSVersion: tds.Version74, PacketSize: tds.LoginPacketSize, AppName: tds.MakeText("secretless doctor"),
	}}
	err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) error {
		settings, err := readSettings(set)
		if err != nil {
			return err
		}
		report.Target = settings.address.String()
		plan, err := settings.plan(settings.address)
		if err != nil {
			return database.Failure(connector.KindConfig, "credentials of the service: %w", err)
		}
		out, err := c.logIn(ctx, s, client, set)
		if err != nil {
			return err
		}
		defer out.conn.Close()
		conn := out.conn
		if aligned, ok := conn.(*tds.Aligned); ok {
			conn = aligned.Conn
		}
		report = plan.Report(conn)
		return nil
	})
	return report, err
}
