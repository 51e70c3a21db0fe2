package main

import (
	"context"
	"slices"
)

// Sections of the report.
const (
	selectSection    = "Select-only transactions"
	reconnectSection = "A new connection for every transaction (SCRAM at the server)"
	arrivalSection   = "How long a client waits that comes now and then"
	copySection      = "COPY"
	rawSection       = "Raw bulk, no PostgreSQL behind it"
)

func postgres() kind { return kind{"PostgreSQL", startPostgres} }

// fakePostgres is what idle connections and start-up are measured with, too.
func fakePostgres() kind { return kind{"the fake PostgreSQL", startFakeServer} }

func postgresWays() []way {
	return []way{{"tcp", false}, {"unix", false}, {"tcp", true}, {"unix", true}}
}

func postgresLoads(b *bench) []load {
	return slices.Concat(b.selects(), b.reconnects(), b.arrivals(), b.copies(), b.raws())
}

func (b *bench) selects() []load {
	var all []load
	for _, w := range postgresWays() {
		for _, clients := range []int{1, 8} {
			for _, mode := range []string{"simple", "prepared"} {
				l := newLoad(postgres(), selectSection, selectName(mode, clients), w, transactions())
				plainTCP := w == way{network: "tcp"}
				l.quick = plainTCP || (clients == 8 && mode == "simple" && (w.network == "tcp") == w.encrypted)
				l.run = pgbenchLoad{mode: mode, clients: clients, seconds: b.options.seconds}.run
				all = append(all, l)
			}
		}
	}
	return all
}

func (b *bench) reconnects() []load {
	var all []load
	for _, w := range postgresWays() {
		for _, clients := range []int{1, 8} {
			l := newLoad(postgres(), reconnectSection, reconnectName(clients), w, transactions())
			l.quick = clients == 8 && w == way{network: "tcp"}
			l.relays = b.spare()
			l.run = pgbenchLoad{mode: "simple", clients: clients, reconnect: true, seconds: b.options.seconds}.run
			all = append(all, l)
		}
	}
	return all
}

func (b *bench) copies() []load {
	var all []load
	for _, w := range postgresWays() {
		out := newLoad(postgres(), copySection, "COPY out", w, volume())
		out.quick = w == way{network: "tcp"}
		out.run = copyOut
		in := newLoad(postgres(), copySection, "COPY in", w, volume())
		in.quick = out.quick
		in.run = func(ctx context.Context, e endpoint) (outcome, error) {
			server, err := b.server(ctx, in.kind)
			if err != nil {
				return outcome{}, err
			}
			return copyIn(ctx, e, server.direct(way{network: "tcp"}))
		}
		all = append(all, out, in)
	}
	return all
}

func (b *bench) raws() []load {
	size := int64(2 << 30)
	if b.options.quick {
		size = 256 << 20
	}
	var all []load
	for _, network := range []string{"tcp", "unix"} {
		for _, upload := range []bool{true, false} {
			l := newLoad(fakePostgres(), rawSection, rawName(upload), way{network: network}, volume())
			l.quick = network == "tcp"
			l.run = func(ctx context.Context, e endpoint) (outcome, error) { return rawLoad(ctx, e, size, upload) }
			all = append(all, l)
		}
	}
	return all
}
