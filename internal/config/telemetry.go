package config

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
)

type metricsSpec struct {
	Listen   metricsAddr   `yaml:"listen" doc:"Address of GET /metrics in Prometheus' format: tcp://host:port or unix:///path."`
	Interval time.Duration `yaml:"interval" default:"60s" doc:"How often metrics are sent to otlp.endpoint; 0s sends none."`
}

type tracingSpec struct {
	Sample float64 `yaml:"sample" default:"0.05" doc:"Part of the connections, and of the requests whose client has not decided, that are traced: 0 to 1."`
}

type otlpSpec struct {
	Endpoint otlpEndpoint   `yaml:"endpoint" required:"true" example:"https://collector.example:4318" doc:"Base URL of OTLP over HTTP; /v1/metrics and /v1/traces are added."`
	Headers  credentialList `yaml:"headers" doc:"HTTP headers by name, such as authorization: a scalar is the value itself, a map {from, get} names a provider and the id in it."`
	CA       absolutePath   `yaml:"ca" doc:"Path of CAs to trust, PEM, in place of the system's."`
	Cert     absolutePath   `yaml:"cert" doc:"Path of a client certificate and its chain, PEM."`
	Key      keySpec        `yaml:"key" doc:"The client certificate's private key, PEM: a path, or {from, get}."`
	Timeout  time.Duration  `yaml:"timeout" default:"10s" doc:"How long one request may take."`
}

// Metrics is where counts can be read, and how often they are sent.
type Metrics struct {
	// Listen is nil where nobody can ask for them.
	Listen *Listen
	// Interval is how often they are sent to OTLP; zero means never.
	Interval time.Duration
}

// Tracing is how many connections and requests are traced; nil in a File means
// none.
type Tracing struct {
	// Sample is the part of those that no client has decided about.
	Sample float64
}

// OTLP is the OpenTelemetry collector that metrics and traces are sent to.
type OTLP struct {
	// Endpoint is an http or https URL without the path of a signal.
	Endpoint    string
	EndpointPos Pos
	// Headers go with every request; their names are those of HTTP.
	Headers []Credential
	// CA is the path of a PEM file; empty means the system's authorities.
	CA    string
	CAPos Pos
	// Cert is the path of the client certificate's PEM file; empty means none.
	// Key is the PEM text of its private key, a scalar in the file a path.
	Cert    string
	CertPos Pos
	Key     Credential
	Timeout time.Duration
	Pos     Pos
}

// telemetry checks metrics, tracing and otlp together.
func (r *report) telemetry(f *File, root *node, spec fileSpec) {
	f.Metrics = Metrics{Listen: spec.Metrics.Listen.listen, Interval: spec.Metrics.Interval}
	if m, ok := root.get("metrics"); ok && f.Metrics.Interval > 0 && f.Metrics.Interval < time.Second {
		r.errorf(valuePos(m.value, m.pos, "interval"), "interval must be 1s or more, or 0s for none")
	}
	if o := spec.OTLP; o != nil {
		section, _ := root.get("otlp")
		f.OTLP = r.otlp(section, o)
	}
	if spec.Tracing == nil {
		return
	}
	section, _ := root.get("tracing")
	f.Tracing = &Tracing{Sample: spec.Tracing.Sample}
	if s := spec.Tracing.Sample; s < 0 || s > 1 {
		r.errorf(valuePos(section.value, section.pos, "sample"), "sample must be a part from 0 to 1, such as 0.05 for every twentieth")
	}
	if spec.OTLP == nil {
		r.errorf(section.pos, "tracing has nowhere to send its spans; add otlp: {endpoint: …}")
	}
}

func (r *report) otlp(section entry, spec *otlpSpec) *OTLP {
	o := &OTLP{
		Endpoint: spec.Endpoint.url, EndpointPos: spec.Endpoint.pos, Headers: spec.Headers, Timeout: spec.Timeout,
		CA: spec.CA.path, CAPos: spec.CA.pos, Cert: spec.Cert.path, CertPos: spec.Cert.pos, Key: spec.Key.credential, Pos: section.pos,
	}
	if spec.Timeout == 0 {
		r.mustBePositive(section.value, section.pos, "timeout")
	}
	if section.value.has("cert") != section.value.has("key") {
		r.errorf(section.pos, "otlp has one of cert and key; a client certificate needs both")
	}
	seen := map[string]bool{}
	for _, h := range o.Headers {
		name := strings.ToLower(h.Name)
		switch {
		case !isHeaderName(name):
			r.errorf(h.Pos, "%s is no name of an HTTP header", quote(h.Name))
		case name == "host" || name == "content-type" || name == "content-length" || name == "content-encoding" || name == "transfer-encoding" || name == "connection":
			r.errorf(h.Pos, "the header %s is the broker's own to set", quote(h.Name))
		case seen[name]:
			r.errorf(h.Pos, "the header %s is there twice", quote(h.Name))
		}
		seen[name] = true
	}
	plain := strings.HasPrefix(o.Endpoint, "http://")
	if plain && len(o.Headers) > 0 && !spec.Endpoint.local {
		r.errorf(o.EndpointPos, "endpoint %s would be sent the headers, which may be secret, unencrypted; write https://", quote(o.Endpoint))
	}
	if plain && (o.CA != "" || o.Cert != "") {
		r.errorf(o.EndpointPos, "endpoint %s does without TLS, so that ca, cert and key have no meaning; write https://", quote(o.Endpoint))
	}
	return o
}

// isHeaderName is true for a token of RFC 9110.
func isHeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
}

// otlpEndpoint is the base URL of a collector.
type otlpEndpoint struct {
	url   string
	local bool // it is this machine's loopback interface
	pos   Pos
}

func (e *otlpEndpoint) decodeNode(d *decoder, n *node, key string) {
	e.pos = n.pos
	u, err := url.Parse(n.value)
	switch {
	case n.kind != scalarNode:
		d.errorf(n.pos, "%s must be a URL, not %s", key, n.describe())
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		d.errorf(n.pos, "%s must be a URL as https://collector.example:4318 (OTLP over HTTP)", key)
	case u.User != nil:
		d.errorf(n.pos, "%s has a user or password in it; write headers: {authorization: …}", key)
	case u.RawQuery != "" || u.Fragment != "":
		d.errorf(n.pos, "%s must have no query and no fragment", key)
	case strings.HasSuffix(u.Path, "/v1/metrics") || strings.HasSuffix(u.Path, "/v1/traces"):
		d.errorf(n.pos, "%s must end before /v1/…, which is added for each signal", key)
	default:
		addr, err := netip.ParseAddr(u.Hostname())
		e.local = u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
		e.url = n.value
	}
}

func (*otlpEndpoint) schema(*generator) object {
	return object{"type": "string", "pattern": "^https?://[^/?#@]+[^?#]*$"}
}

// metricsAddr is where metrics are read.
type metricsAddr struct{ listen *Listen }

func (m *metricsAddr) decodeNode(d *decoder, n *node, key string) {
	l, ok := d.listen(n, key)
	if ok && l.Network == "systemd" {
		d.errorf(n.pos, "%s must be tcp://host:port or unix:///path", key)
	}
	m.listen = &l
}

func (*metricsAddr) schema(*generator) object { return address("tcp", "unix") }
