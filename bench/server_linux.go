package main

import (
	"context"
	"fmt"
)

// server is a running target of loads. Its owner calls stop.
type server interface {
	// target is how a relay reaches it, which is always over TCP on loopback.
	target(encrypted bool) target
	// direct is how a client reaches it without a relay.
	direct(way) endpoint
	// facts are for the description of the machine.
	facts(context.Context) []fact
	stop()
}

// listening is what most servers are: a process with a port on loopback, and an
// account for benchUser in benchDatabase.
type listening struct {
	process   *process
	connector string // the broker's, for its protocol
	port      int
	socket    string // path of its unix socket, if it has one; TLS is over TCP alone
	password  string
}

func (l *listening) target(encrypted bool) target {
	return target{connector: l.connector, port: l.port, password: l.password, encrypted: encrypted}
}

func (l *listening) direct(w way) endpoint {
	e := endpoint{port: l.port, user: benchUser, password: l.password, database: benchDatabase, encrypted: w.encrypted}
	if w.network == "unix" && !w.encrypted {
		e.socket = l.socket
	}
	return e
}

func (l *listening) facts(context.Context) []fact { return nil }

func (l *listening) stop() { l.process.stop() }

// kind is a server that loads can ask for. It is started for the first that
// does, and serves all others of the run.
type kind struct {
	name  string // unique; said while it starts
	start func(context.Context, *bench) (server, error)
}

// started is a server, or why there is none: nobody tries twice.
type started struct {
	kind   kind
	server server
	err    error
}

// server returns the run's server of that kind.
func (b *bench) server(ctx context.Context, k kind) (server, error) {
	for _, s := range b.servers {
		if s.kind.name == k.name {
			return s.server, s.err
		}
	}
	progress("starting %s", k.name)
	s, err := k.start(ctx, b)
	if err != nil {
		s, err = nil, fmt.Errorf("starting %s: %w", k.name, err)
	}
	b.servers = append(b.servers, started{k, s, err})
	return s, err
}

// stopServers ends them, the last first: it may need one that was before it.
func (b *bench) stopServers() {
	for i := len(b.servers) - 1; i >= 0; i-- {
		if b.servers[i].err == nil {
			b.servers[i].server.stop()
		}
	}
}
