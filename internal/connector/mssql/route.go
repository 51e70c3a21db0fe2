package mssql

import (
	"net"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
	"secretless/internal/wire/tds"
)

// follow is the address that a target routes the login to. The credentials go
// there, so whoever names it must be as trustworthy as sslmode asks: under
// verify-ca and above the target has proven itself, and the other one will have
// to. On a connection without encryption anybody on the way could have written
// the route, and only the same host, or one that does not leave the machine, is
// followed.
func (l *login) follow(route tds.Routing) (target.Address, error) {
	from := l.plan.Address
	host, _, _ := strings.Cut(route.Server, `\`) // the port says which instance it is
	to, err := target.ParseAddress(host, "", int(route.Port))
	if err != nil || to.Unix() {
		return target.Address{}, database.Failure(connector.KindTarget, "logging in: the target %s routes the login to %q, which is no host", from, database.Quote(route.Server))
	}
	if !l.encrypted && !strings.EqualFold(to.Host, from.Host) && !loopback(to.Host) {
		return target.Address{}, database.Failure(connector.KindTarget, "logging in: the target %s routes the login to %s over a connection without encryption, which anybody could have done; set sslmode to verify-full or require", from, database.Quote(to.String()))
	}
	return to, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
