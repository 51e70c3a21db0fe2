package mssql

import (
	"net"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/tds"
)

// maxEncryptedPacket is the largest packet size on an encrypted connection: a
// packet must fit into one TLS record, and SQL Server breaks connections on
// which it does not (corefx issue 17577).
const maxEncryptedPacket = 16383

// acceptable refuses logins that the broker must not or cannot make its own.
func (o *opening) acceptable() error {
	if o.login.OptionFlags3&tds.Flag3ChangePassword != 0 || len(o.login.ChangePassword) > 0 {
		return coded(numberUnsupported, connector.KindProtocol, "the client asks to change the password of the login, which is the broker's; change it where it is kept")
	}
	for _, f := range o.login.Features {
		if f.ID == tds.FeatureFedAuth {
			return coded(numberUnsupported, connector.KindProtocol, "the client asks for federated (Microsoft Entra) authentication, and the broker logs in with a SQL login; connect with SQL authentication, any name and password")
		}
	}
	return nil
}

// request is the client's LOGIN7 with the credentials in place of its own. The
// password in it is the caller's to clear.
func (l *login) request() (tds.Login7, error) {
	out := l.client.login
	out.OptionFlags2 &^= tds.Flag2IntegratedSecurity
	out.SSPI = nil
	out.UserName = tds.MakeText(l.settings.username)
	out.ServerName = tds.MakeText(l.plan.Address.Host)
	if l.encrypted {
		// The client learns of it from the answer, as of any other size.
		out.PacketSize = min(out.PacketSize, maxEncryptedPacket)
	}
	if l.settings.database != "" {
		out.Database = tds.MakeText(l.settings.database)
	}
	switch {
	case l.settings.protection.strict && out.TDSVersion == tds.Version74:
		out.TDSVersion = tds.Version80
	case !l.settings.protection.strict && out.TDSVersion == tds.Version80:
		out.TDSVersion = tds.Version74
	}
	password, err := tds.ObfuscatePassword(l.settings.password.Bytes())
	if err == nil && tds.Text(password).Len() > maxName {
		clear(password)
		return out, database.Failure(connector.KindConfig, "credentials of the service: password is longer than %d characters", maxName)
	}
	if err != nil {
		return out, database.Failure(connector.KindConfig, "credentials of the service: %w", err)
	}
	out.Password = password
	return out, nil
}

// send writes a LOGIN7 and wipes every copy of its password.
func send(conn net.Conn, request *tds.Login7) error {
	defer clear(request.Password)
	body, err := request.Append(make([]byte, 0, request.Size()))
	if err != nil {
		return coded(numberLogin, connector.KindProtocol, "the client's login leaves no room for the credentials: "+err.Error())
	}
	defer clear(body)
	packets := len(body)/(tds.LoginPacketSize-tds.HeaderSize) + 1
	message := tds.AppendMessage(make([]byte, 0, len(body)+packets*tds.HeaderSize), tds.TypeLogin7, 0, tds.LoginPacketSize, body)
	defer clear(message)
	_, err = conn.Write(message)
	return err
}
