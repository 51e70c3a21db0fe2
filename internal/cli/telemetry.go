package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretless/internal/admin"
	"secretless/internal/broker"
	"secretless/internal/config"
	"secretless/internal/metrics"
	"secretless/internal/otlp"
)

// telemetry is what tells others how the broker does: the address where metrics
// are read, and what is sent to a collector. A reload can change both.
type telemetry struct {
	log      *slog.Logger
	registry *prometheus.Registry
	exporter *otlp.Exporter
	server   *admin.Server // nil without an address
	listen   string
}

func newTelemetry(p *process) *telemetry {
	t := &telemetry{log: p.log}
	t.registry = metrics.NewRegistry(metrics.Sources{
		Version:   buildVersion(),
		Ready:     func() bool { return p.ready.Load() && p.broker.Ready() },
		Services:  func() []broker.Measurement { return p.broker.Measure() },
		Providers: p.assembler.Running,
		Reloads:   p.reloads.metrics,
		Exports:   func() otlp.Stats { return t.exporter.Stats() },
		AuditLost: func() uint64 {
			if counter, ok := p.audit.sink.(interface{ Lost() uint64 }); ok {
				return counter.Lost()
			}
			return 0
		},
	})
	t.exporter = otlp.New(otlp.Options{Gather: t.registry.Gather, Resource: identity(p.env.LookupEnv), Log: p.log})
	return t
}

// identity says which process it is. Of OpenTelemetry's variables those are
// heeded that name it, and none that says where data goes or with which secret:
// that is what the configuration is for.
func identity(lookup func(string) (string, bool)) otlp.Resource {
	r := otlp.Resource{Service: "secretless", Version: buildVersion(), Attributes: map[string]string{"service.instance.id": rand.Text()}}
	list, _ := lookup("OTEL_RESOURCE_ATTRIBUTES")
	for pair := range strings.SplitSeq(list, ",") {
		key, value, ok := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); ok && key != "" && err == nil {
			r.Attributes[key] = decoded
		}
	}
	if name, ok := lookup("OTEL_SERVICE_NAME"); ok && name != "" {
		r.Attributes["service.name"] = name
	}
	return r
}

// opened is an address that is ready to take the place of the one before.
type opened struct {
	telemetry *telemetry
	server    *admin.Server
	listen    string
	changes   bool
}

// open opens the address that the file names, unless it is the present one.
func (t *telemetry) open(l *config.Listen) (opened, error) {
	o := opened{telemetry: t}
	if l != nil {
		o.listen = l.String()
	}
	if o.changes = o.listen != t.listen; !o.changes || l == nil {
		return o, nil
	}
	ln, err := broker.Listen(broker.Address{Network: l.Network, Address: l.Address})
	if err != nil {
		return o, fmt.Errorf("opening metrics.listen: %w", err)
	}
	o.server = admin.Serve(ln, admin.ByName(metrics.Handler(t.registry), admin.NameOf(l.Network, l.Address)), t.log)
	return o, nil
}

// use makes it the address, and closes the one before.
func (o opened) use() {
	if o.changes {
		closeServer(o.telemetry.server)
		o.telemetry.server, o.telemetry.listen = o.server, o.listen
	}
}

// undo closes what was opened for a configuration that is not used.
func (o opened) undo() { closeServer(o.server) }

// close sends what there is and ends everything.
func (t *telemetry) close() {
	t.exporter.Close()
	closeServer(t.server)
}

func closeServer(s *admin.Server) {
	if s == nil {
		return
	}
	brief, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.Close(brief)
}
