package main

import "context"

// load is one thing that is measured, the same for every contender.
type load struct {
	comparison
	network   string // of the client: tcp or unix
	encrypted bool   // TLS between the relay and the target
	fake      bool   // against the fake target
	quick     bool   // part of a quick run
	run       func(context.Context, endpoint) (outcome, error)
}

// Sections of the report.
const (
	selectSection    = "Select-only transactions"
	reconnectSection = "A new connection for every transaction (SCRAM at the server)"
	copySection      = "COPY"
	rawSection       = "Raw bulk, no PostgreSQL behind it"
)

// way is how a load's bytes travel.
type way struct {
	network   string
	encrypted bool
}

func ways() []way { return []way{{"tcp", false}, {"unix", false}, {"tcp", true}, {"unix", true}} }

// suite lists the loads that the options ask for.
func (b *bench) suite() []load {
	all := b.selects()
	all = append(all, b.reconnects()...)
	all = append(all, b.copies()...)
	all = append(all, b.raws()...)
	var wanted []load
	for _, l := range all {
		if (l.quick || !b.options.quick) && b.options.wants(l.name) {
			wanted = append(wanted, l)
		}
	}
	return wanted
}

func newLoad(section, what string, w way, u unit) load {
	return load{
		comparison: comparison{section: section, name: loadName(what, w.network, w.encrypted), unit: u},
		network:    w.network, encrypted: w.encrypted,
	}
}

func (b *bench) selects() []load {
	var all []load
	for _, w := range ways() {
		for _, clients := range []int{1, 8} {
			for _, mode := range []string{"simple", "prepared"} {
				l := newLoad(selectSection, selectName(mode, clients), w, transactions())
				plainTCP := w == way{network: "tcp"}
				l.quick = plainTCP || (clients == 8 && mode == "simple" && (w.network == "tcp") == w.encrypted)
				l.run = pgbenchLoad{program: b.pgbench, mode: mode, clients: clients, seconds: b.options.seconds}.run
				all = append(all, l)
			}
		}
	}
	return all
}

func (b *bench) reconnects() []load {
	var all []load
	for _, w := range ways() {
		for _, clients := range []int{1, 8} {
			l := newLoad(reconnectSection, reconnectName(clients), w, transactions())
			l.quick = clients == 8 && w == way{network: "tcp"}
			l.run = pgbenchLoad{program: b.pgbench, mode: "simple", clients: clients, reconnect: true, seconds: b.options.seconds}.run
			all = append(all, l)
		}
	}
	return all
}

func (b *bench) copies() []load {
	var all []load
	for _, w := range ways() {
		out := newLoad(copySection, "COPY out", w, volume())
		out.quick = w == way{network: "tcp"}
		out.run = copyOut
		in := newLoad(copySection, "COPY in", w, volume())
		in.quick = out.quick
		in.run = func(ctx context.Context, e endpoint) (outcome, error) {
			return copyIn(ctx, e, b.postgres.direct("tcp", false))
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
			l := newLoad(rawSection, rawName(upload), way{network: network}, volume())
			l.fake, l.quick = true, network == "tcp"
			l.run = func(ctx context.Context, e endpoint) (outcome, error) { return rawLoad(ctx, e, size, upload) }
			all = append(all, l)
		}
	}
	return all
}
