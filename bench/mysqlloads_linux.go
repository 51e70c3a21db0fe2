package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"slices"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// Sections of the report.
const (
	pointSelectSection     = "MySQL: point selects (sysbench, MariaDB)"
	mysqlReconnectSection  = "MySQL: a new connection for every SELECT 1 (MariaDB, mysql_native_password)"
	cachingSHA2FullSection = "MySQL: a new connection for every SELECT 1 (caching_sha2_password, full authentication)"
)

func mysqlLoads(b *bench) []load {
	return slices.Concat(b.pointSelects(), b.mysqlReconnects())
}

// pointSelects leave out prepared statements over the unix socket: the relay
// sees the same there.
func (b *bench) pointSelects() []load {
	var all []load
	for _, network := range []string{"tcp", "unix"} {
		for _, clients := range []int{1, 8} {
			for _, mode := range []string{"simple", "prepared"} {
				if network == "unix" && mode == "prepared" {
					continue
				}
				l := newLoad(mariadb(), pointSelectSection, pointSelectName(mode, clients), way{network: network}, transactions())
				l.quick = network == "tcp" && mode == "simple"
				l.run = sysbenchLoad{prepared: mode == "prepared", clients: clients, seconds: b.options.seconds}.run
				all = append(all, l)
			}
		}
	}
	return all
}

func (b *bench) mysqlReconnects() []load {
	var all []load
	add := func(k kind, section, how string, clients int, w way, quick bool) {
		l := newLoad(k, section, mysqlReconnectName(how, clients), w, transactions())
		l.quick = quick
		l.run = sqlLoad{open: openMySQL, clients: clients, reconnect: true, seconds: b.options.seconds}.run
		all = append(all, l)
	}
	for _, clients := range []int{1, 8} {
		add(mariadb(), mysqlReconnectSection, "native", clients, way{network: "tcp"}, false)
	}
	for _, w := range []way{{"tcp", true}, {"tcp", false}} {
		for _, clients := range []int{1, 8} {
			add(mysqlFacade(), cachingSHA2FullSection, cachingSHA2Full(w.encrypted), clients, w, clients == 8)
		}
	}
	return all
}

// sysbenchLoad runs point selects on connections that stay.
type sysbenchLoad struct {
	prepared bool
	clients  int
	seconds  int
}

func (l sysbenchLoad) run(ctx context.Context, e endpoint) (outcome, error) {
	program, err := findProgram("sysbench")
	if err != nil {
		return outcome{}, err
	}
	mode := "disable"
	if l.prepared {
		mode = "auto"
	}
	args := append(sysbenchArguments(e), "--db-ps-mode="+mode, "--threads="+strconv.Itoa(l.clients),
		"--time="+strconv.Itoa(l.seconds), "run")
	output, err := runClient(ctx, l.seconds, nil, program, args...)
	if err != nil {
		return outcome{}, err
	}
	report, err := parseSysbench(output)
	if err != nil {
		return outcome{}, err
	}
	return outcome{work: float64(report.transactions), rate: report.tps}, nil
}

// sysbenchArguments say what is measured and where, not how.
func sysbenchArguments(e endpoint) []string {
	args := []string{
		"oltp_point_select", "--table_size=" + strconv.Itoa(sysbenchRows), "--mysql-ignore-errors=none",
		"--mysql-user=" + e.user, "--mysql-password=" + e.password, "--mysql-db=" + e.database,
	}
	if e.socket != "" {
		return append(args, "--mysql-socket="+e.socket)
	}
	return append(args, "--mysql-host="+loopback, "--mysql-port="+strconv.Itoa(e.port))
}

// openMySQL is a handle that has not connected yet.
func openMySQL(e endpoint) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = e.network(), e.address()
	config.User, config.Passwd, config.DBName = e.user, e.password, e.database
	config.Timeout = clientTimeout
	config.Logger = &mysql.NopLogger{}
	if e.encrypted {
		config.TLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
