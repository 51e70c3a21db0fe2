package mysql

import (
	"context"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/wire/mysqlwire"
)

// comQuit is the command that ends a session.
const comQuit = 1

// Check logs in as for a client that asks for nothing that servers may lack.
func (c *Connector) Check(ctx context.Context, s *connector.Session) (report connector.Report, err error) {
	client := &client{session: s, greeted: true, response: mysqlwire.HandshakeResponse41{
		Capabilities: handled | mysqlwire.ClientLongPassword, MaxPacketSize: 1 << 24, Charset: unknownCharset,
	}}
	client.offered.Capabilities = universal
	err = s.Authenticate(ctx, func(ctx context.Context, set *secret.Set) error {
		settings, err := readSettings(set)
		if err != nil {
			return err
		}
		report.Target = settings.plan.Address.String()
		out, err := c.logIn(ctx, s, client, set)
		if err != nil {
			return err
		}
		defer out.conn.Close()
		report = settings.plan.Report(out.conn)
		report.Detail = "version " + database.Quote(c.learned.version())
		_, _ = out.conn.Write(mysqlwire.AppendPacket(nil, 0, []byte{comQuit})) // without it the target counts an aborted connection
		return nil
	})
	return report, err
}
