package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
)

// Sections of the report.
const (
	mssqlLatencySection   = "SQL Server: SELECT 1 (the TDS test target)"
	mssqlReconnectSection = "SQL Server: a new connection for every SELECT 1 (the TDS test target)"
)

func tdsTarget() kind { return kind{"the TDS test target", startTDSTarget} }

// mssqlLoads are over TCP alone: no usual client of SQL Server knows unix
// sockets.
func mssqlLoads(b *bench) []load {
	var all []load
	for _, w := range []way{{"tcp", false}, {"tcp", true}} {
		l := newLoad(tdsTarget(), mssqlLatencySection, mssqlSelectName(1), w, transactions())
		l.quick = !w.encrypted
		l.run = sqlLoad{open: openMSSQL, clients: 1, latency: true, seconds: b.options.seconds}.run
		all = append(all, l)
	}
	for _, w := range []way{{"tcp", false}, {"tcp", true}} {
		for _, clients := range []int{1, 8} {
			if w.encrypted && clients == 1 {
				continue // what TLS costs shows with eight
			}
			l := newLoad(tdsTarget(), mssqlReconnectSection, mssqlReconnectName(clients), w, transactions())
			l.run = sqlLoad{open: openMSSQL, clients: clients, reconnect: true, seconds: b.options.seconds}.run
			all = append(all, l)
		}
	}
	return all
}

// startTDSTarget starts the project's test target, which encrypts as the client
// wishes.
func startTDSTarget(ctx context.Context, b *bench) (server, error) {
	program, err := b.installed(filepath.Join(b.options.targets, "tdsserver"))
	if err != nil {
		return nil, err
	}
	s := &listening{connector: "mssql", password: rand.Text()}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	dir, owner := filepath.Join(b.dir, "tds"), b.fleet.owner
	if err := owner.makeDir(dir); err != nil {
		return nil, err
	}
	private, err := newKey()
	if err != nil {
		return nil, err
	}
	certificate, key, err := selfSigned(private)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string]string{"server.crt": certificate, "server.key": key} {
		if err := owner.writeFile(filepath.Join(dir, name), content); err != nil {
			return nil, err
		}
	}
	s.process, err = owner.start(dir, launch{
		args: []string{
			program, "-listen", loopback + ":" + strconv.Itoa(s.port), "-user", benchUser, "-password", s.password,
			"-database", benchDatabase, "-cert", "server.crt", "-key", "server.key",
		},
		input: []byte{}, // it ends with its standard input
		end:   syscall.SIGKILL,
	})
	if err != nil {
		return nil, err
	}
	if err := s.process.await(ctx, 10*time.Millisecond, ready(openMSSQL, s.direct(way{network: "tcp"}))); err != nil {
		s.process.stop()
		return nil, err
	}
	return s, nil
}

// openMSSQL is a handle that has not connected yet.
func openMSSQL(e endpoint) (*sql.DB, error) {
	settings := url.Values{
		"database": {e.database}, "encrypt": {"disable"}, "dial timeout": {strconv.Itoa(int(clientTimeout.Seconds()))},
	}
	if e.encrypted {
		settings.Set("encrypt", "true")
		settings.Set("TrustServerCertificate", "true")
	}
	source := url.URL{Scheme: "sqlserver", User: url.UserPassword(e.user, e.password), Host: e.address(), RawQuery: settings.Encode()}
	connector, err := mssql.NewConnector(source.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
