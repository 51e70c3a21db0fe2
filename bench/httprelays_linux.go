package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// httpRelays are those of b that speak HTTP, each held to one core.
func httpRelays(b *bench) []relay {
	var all []relay
	for _, r := range b.relays {
		switch r.name {
		case broker:
			all = append(all, brokerOf(r.program, broker, basicAuthService(true)), brokerOf(r.program, unmatched, basicAuthService(false)))
			all = append(all, relay{name: bareProxy, tcpOnly: true, prepare: prepareBareProxy})
		case haproxy:
			all = append(all, relay{name: haproxy, program: r.program, logsIn: true, tcpOnly: true, prepare: prepareHTTPHAProxy})
		case nginx:
			all = append(all, relay{name: nginx, program: r.program, logsIn: true, https: true, tcpOnly: true, prepare: prepareHTTPNginx})
			all = append(all, relay{name: byHost, program: r.program, logsIn: true, tcpOnly: true, prepare: prepareForwardingNginx})
		}
	}
	return all
}

// httpService is the broker's service for a target: its connector and what
// comes below it.
type httpService func(target) (connector, credentials, config string)

// basicAuthService matches the target or, to see what passing costs, does not.
func basicAuthService(matches bool) httpService {
	return func(t target) (connector, credentials, config string) {
		hosts := net.JoinHostPort(loopback, strconv.Itoa(t.port))
		if !matches {
			hosts = "api.example.com"
		}
		return "basic_auth", "{ username: " + benchUser + ", password: " + basicPassword + " }",
			fmt.Sprintf("{ hosts: [%q], unmatched: forward }", hosts)
	}
}

func brokerOf(program, name string, s httpService) relay {
	return relay{
		name: name, program: program, logsIn: true, https: true, tcpOnly: true,
		prepare: func(r relay, owner account, at place, t target) (launch, error) {
			return prepareHTTPBroker(r, owner, at, t, s)
		},
	}
}

func prepareHTTPBroker(r relay, owner account, at place, t target, s httpService) (launch, error) {
	health, err := freePort()
	if err != nil {
		return launch{}, err
	}
	connector, credentials, config := s(t)
	path := filepath.Join(at.dir, "secretless.yml")
	err = owner.writeFile(path, fmt.Sprintf(`version: "2"
services:
  bench:
    connector: %s
    listenOn: "tcp://%s:%d"
    credentials: %s
    config: %s
    limits: { connections: %d }
admin: { health: "tcp://%s:%d" }
state: %s
`, connector, loopback, at.port, credentials, config, maxPairs, loopback, health, filepath.Join(at.dir, "state")))
	if err != nil {
		return launch{}, err
	}
	env := []string{"SECRETLESS_HTTP_CA_BUNDLE=" + t.certificate}
	if t.encrypted {
		made, err := owner.start(at.dir, launch{args: []string{r.program, "ca", "init", "-f", path}, env: env, end: syscall.SIGKILL})
		if err != nil {
			return launch{}, err
		}
		if <-made.exited; !made.cmd.ProcessState.Success() {
			return launch{}, fmt.Errorf("making the broker's CA: %s", made.lastOutput())
		}
	}
	return onOneCore(launch{args: []string{r.program, "serve", "-f", path}, env: env, end: syscall.SIGTERM}), nil
}

// prepareBareProxy runs this program once more, see serveBareProxy.
func prepareBareProxy(_ relay, _ account, at place, t target) (launch, error) {
	self, err := os.Executable()
	if err != nil {
		return launch{}, err
	}
	program, err := installedIn(at.dir, self)
	listen, to := net.JoinHostPort(loopback, strconv.Itoa(at.port)), net.JoinHostPort(loopback, strconv.Itoa(t.port))
	return onOneCore(launch{args: []string{program, bareProxyFlag, listen, to}, end: syscall.SIGKILL}), err
}

// prepareHTTPHAProxy makes HAProxy add the same credential. Its target is fixed,
// too.
func prepareHTTPHAProxy(r relay, owner account, at place, t target) (launch, error) {
	config := filepath.Join(at.dir, "haproxy.cfg")
	err := owner.writeFile(config, fmt.Sprintf(`global
	maxconn %[1]d
	nbthread 1
	h1-case-adjust content-length Content-Length
	h1-case-adjust authorization Authorization
defaults
	mode http
	option h1-case-adjust-bogus-client
	option h1-case-adjust-bogus-server
	maxconn %[1]d
	timeout connect 10s
	timeout client 1h
	timeout server 1h
	http-reuse always
listen bench
	bind %[2]s:%[3]d
	http-request set-uri %%[pathq]
	http-request set-header Authorization "%[5]s"
	server target %[2]s:%[4]d
`, maxPairs, loopback, at.port, t.port, basicAuthorization))
	return onOneCore(launch{args: []string{r.program, "-db", "-f", config}, end: syscall.SIGTERM}), err
}

// prepareForwardingNginx makes nginx a forwarding proxy: the target is what the
// request names. Such an nginx keeps no connection to a target.
func prepareForwardingNginx(r relay, owner account, at place, t target) (launch, error) {
	return prepareNginxWith(r, owner, at, t, nginxWay{scheme: "http", target: "$http_host$request_uri"})
}

// prepareHTTPNginx makes nginx add the same credential. Its target is fixed,
// which is the only way to have it keep connections open.
func prepareHTTPNginx(r relay, owner account, at place, t target) (launch, error) {
	way := nginxWay{scheme: "http", target: "target", headers: `proxy_set_header Connection "";`}
	if t.encrypted {
		way.scheme = "https"
		way.listen = fmt.Sprintf(" ssl http2;\n\t\tssl_certificate %s;\n\t\tssl_certificate_key %s", t.certificate, strings.TrimSuffix(t.certificate, ".crt")+".key")
	}
	return prepareNginxWith(r, owner, at, t, way)
}

// nginxWay is how nginx gets to its target, and what differs else.
type nginxWay struct{ scheme, target, listen, headers string }

func prepareNginxWith(r relay, owner account, at place, t target, way nginxWay) (launch, error) {
	config := filepath.Join(at.dir, "nginx.conf")
	temporary := ""
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("\t%s_temp_path %s;\n", name, filepath.Join(at.dir, name))
	}
	err := owner.writeFile(config, fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s;
error_log stderr crit;
events { worker_connections %[2]d; }
http {
	access_log off;
%[3]s	keepalive_requests 1000000000;
	client_max_body_size 0;
	upstream target {
		server %[4]s:%[5]d;
		keepalive 64;
		keepalive_requests 1000000000;
	}
	server {
		listen %[4]s:%[6]d%[7]s;
		location / {
			proxy_pass %[8]s://%[10]s;
			proxy_http_version 1.1;
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;
			%[11]s
			proxy_set_header Host $http_host;
			proxy_set_header Authorization "%[9]s";
		}
	}
}
`, filepath.Join(at.dir, "pid"), 2*maxPairs+100, temporary, loopback, t.port, at.port, way.listen, way.scheme, basicAuthorization, way.target, way.headers))
	return onOneCore(launch{args: []string{r.program, "-e", "stderr", "-p", at.dir, "-c", config}, end: syscall.SIGTERM}), err
}
