package config

import (
	"reflect"
	"strings"
)

// httpConnectors are what the old authenticationStrategy could name.
func httpConnectors() []string { return []string{"basic_auth", "conjur", "aws", "generic_http"} }

// protocol settles the connector of a service, the deprecated way to name it
// included.
func (r *report) protocol(e namedEntry[serviceSpec], s *Service) {
	key, given := e.node.get("protocol")
	switch {
	case s.Connector != "" && given:
		r.warnf(key.pos, "protocol is deprecated, and connector wins over it; remove protocol")
	case s.Connector != "":
	case e.spec.Protocol == "":
		r.noConnector(e)
	case e.spec.Protocol == "http":
		r.legacyHTTP(e, key.pos, s)
	default:
		s.Connector, s.ConnectorPos = e.spec.Protocol, key.value.pos
		r.warnf(key.pos, "protocol is deprecated; write connector: %s", s.Connector)
	}
}

// noConnector reports a missing connector, unless what stands there was
// reported already.
func (r *report) noConnector(e namedEntry[serviceSpec]) {
	if e.node.kind != mapNode {
		return
	}
	c, ok := e.node.get("connector")
	if ok && !c.value.isNull() && (c.value.value != "" || c.value.isBroken()) {
		return
	}
	d := decoder{report: r}
	if !ok && (e.node.lost || d.mistyped(e.node, fieldsOf(reflect.TypeFor[serviceSpec]()), "connector")) {
		return
	}
	r.errorf(e.pos, "connector is missing; write for instance connector: pg")
}

// legacyHTTP takes the connector from config.authenticationStrategy and the
// key out of the section, which is then the connector's own.
func (r *report) legacyHTTP(e namedEntry[serviceSpec], pos Pos, s *Service) {
	strategies := httpConnectors()
	strategy, ok := s.Config.node.get("authenticationStrategy")
	switch {
	case !ok:
		r.errorf(pos, "protocol: http needs config.authenticationStrategy; better write connector: with one of %s", strings.Join(strategies, ", "))
		return
	case !contains(strategies, strategy.value.value):
		r.errorf(strategy.value.pos, "authenticationStrategy must be one of %s%s", strings.Join(strategies, ", "), DidYouMean(strategy.value.value, strategies))
		return
	}
	s.Connector, s.ConnectorPos = strategy.value.value, strategy.value.pos
	s.Config.node = s.Config.node.without("authenticationStrategy")
	r.warnf(pos, "protocol is deprecated; write connector: %s, and remove config.authenticationStrategy", s.Connector)
}
