package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Every proxy runs with its defaults, except for limits and time-outs that
// would end the measurement: nginx with a worker and HAProxy with a thread a
// core, PgBouncer with its only thread, the broker as it comes.
//
// maxPairs is what each is told to allow; it is above the most that is held.
const maxPairs = 6000

func prepareBroker(r relay, owner account, at place, t target) (launch, error) {
	return prepareBrokerWith("", r, owner, at, t)
}

// prepareSpares is a broker that begins sessions ahead.
func prepareSpares(r relay, owner account, at place, t target) (launch, error) {
	return prepareBrokerWith("    config: { spareConnections: 2 }\n", r, owner, at, t)
}

// prepareBrokerWith is a broker whose service has more lines.
func prepareBrokerWith(more string, r relay, owner account, at place, t target) (launch, error) {
	health, err := freePort()
	if err != nil {
		return launch{}, err
	}
	credentials, env := brokerCredentials(t)
	config := filepath.Join(at.dir, "secretless.yml")
	err = owner.writeFile(config, fmt.Sprintf(`version: "2"
services:
  bench:
    connector: %s
    listenOn: [ "tcp://%s:%d", "unix://%s" ]
    credentials:
%s%s    limits: { connections: %d }
admin: { health: "tcp://%s:%d" }
state: %s
`, t.connector, loopback, at.port, at.socket(), credentials, more, maxPairs, loopback, health, filepath.Join(at.dir, "state")))
	return launch{args: []string{r.program, "serve", "-f", config}, env: env, end: syscall.SIGTERM}, err
}

// brokerCredentials are the lines of the configuration, and the environment
// that they read.
func brokerCredentials(t target) (lines string, env []string) {
	all := t.credentials
	if all == nil {
		all = map[string]string{
			"host": loopback, "port": strconv.Itoa(t.port), "username": benchUser, "password": t.password,
			"sslmode": sslmode(t.encrypted),
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		variable := "BENCH_" + strings.ToUpper(name)
		lines += fmt.Sprintf("      %s: { from: env, get: %s }\n", name, variable)
		env = append(env, variable+"="+all[name])
	}
	return lines, env
}

func prepareHAProxy(r relay, owner account, at place, t target) (launch, error) {
	config := filepath.Join(at.dir, "haproxy.cfg")
	err := owner.writeFile(config, fmt.Sprintf(`global
	maxconn %[1]d
defaults
	mode tcp
	maxconn %[1]d
	timeout connect 10s
	timeout client 1h
	timeout server 1h
listen bench
	bind %[2]s:%[3]d
	bind unix@%[4]s mode 777
	server target %[2]s:%[5]d
`, maxPairs, loopback, at.port, at.socket(), t.port))
	return launch{args: []string{r.program, "-db", "-f", config}, end: syscall.SIGTERM}, err
}

// nginxStream is where Debian puts the module that relays TCP.
const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

func prepareNginx(r relay, owner account, at place, t target) (launch, error) {
	load := ""
	if _, err := os.Stat(nginxStream); err == nil {
		load = "load_module " + nginxStream + ";"
	}
	config := filepath.Join(at.dir, "nginx.conf")
	err := owner.writeFile(config, fmt.Sprintf(`%s
daemon off;
worker_processes auto;
pid %s;
error_log stderr crit;
events { worker_connections %d; }
stream {
	server {
		listen %[4]s:%[5]d;
		listen unix:%[6]s;
		proxy_pass %[4]s:%[7]d;
		proxy_timeout 1h;
	}
}
`, load, filepath.Join(at.dir, "pid"), 2*maxPairs+100, loopback, at.port, at.socket(), t.port))
	return launch{args: []string{r.program, "-e", "stderr", "-p", at.dir, "-c", config}, end: syscall.SIGTERM}, err
}

func preparePgBouncer(r relay, owner account, at place, t target) (launch, error) {
	config := filepath.Join(at.dir, "pgbouncer.ini")
	err := owner.writeFile(config, fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=%[3]d dbname=%[1]s user=%[4]s password=%[5]s
[pgbouncer]
listen_addr = %[2]s
listen_port = %[6]d
unix_socket_dir = %[7]s
unix_socket_mode = 0777
auth_type = any
pool_mode = session
server_tls_sslmode = %[8]s
max_client_conn = %[9]d
default_pool_size = %[9]d
log_connections = 0
log_disconnections = 0
log_stats = 0
ignore_startup_parameters = extra_float_digits
server_login_retry = 1
query_wait_timeout = 30
`, benchDatabase, loopback, t.port, benchUser, t.password, at.port, at.dir, sslmode(t.encrypted), maxPairs))
	return launch{args: []string{r.program, config}, end: syscall.SIGTERM}, err
}
