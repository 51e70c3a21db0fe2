package metrics

import "github.com/prometheus/client_golang/prometheus"

const (
	labelService   = "service"
	labelConnector = "connector"
	labelReason    = "reason"
	labelStage     = "stage"
	labelDirection = "direction"
	labelClass     = "class"
	labelProvider  = "provider"
	labelResult    = "result"
	labelSignal    = "signal"
	labelVersion   = "version"
)

// family is a metric: one line of names.
type family struct {
	name, help string
	kind       prometheus.ValueType // Untyped for histograms
	labels     []string
}

const histogramKind = prometheus.UntypedValue

var perService = []string{labelService, labelConnector}

func with(labels []string, more string) []string {
	return append(labels[:len(labels):len(labels)], more)
}

// The metrics, by what they are about. docs/metrics.md lists them; a test
// compares it.
func families() map[id]family {
	const (
		counter = prometheus.CounterValue
		gauge   = prometheus.GaugeValue
	)
	perProvider := []string{labelProvider}
	return map[id]family{
		buildInfo: {"secretless_build_info", "The version that runs; always 1.", gauge, []string{labelVersion}},
		ready:     {"secretless_ready", "1 while every listener is up and the broker is not stopping.", gauge, nil},

		connOpen:        {"secretless_connections_open", "Connections now, those that are logging in or draining included.", gauge, perService},
		connHandshaking: {"secretless_connections_handshaking", "Connections now that are not established yet.", gauge, perService},
		connDraining:    {"secretless_connections_draining", "Connections now that live on from before a reload.", gauge, perService},
		connAccepted:    {"secretless_connections_accepted_total", "Connections that clients have opened.", counter, perService},
		connEstablished: {"secretless_connections_established_total", "Connections that were logged in to their target, or serve requests.", counter, perService},
		connRefused:     {"secretless_connections_refused_total", "Connections that were not served: by allow (peer), by a limit (limit), or because the audit could not be written (audit).", counter, with(perService, labelReason)},
		connFailed:      {"secretless_connections_failed_total", "Connections that were not established, by the kind of failure.", counter, with(perService, labelReason)},
		connBytes:       {"secretless_connection_bytes_total", "Bytes of connections, open ones included; of those that serve requests, what the client sent and was sent.", counter, with(perService, labelDirection)},
		handshakeTime:   {"secretless_handshake_seconds", "From accept to the established connection.", histogramKind, perService},
		stageTime:       {"secretless_stage_seconds", "Stages that succeeded: lookup (of credentials, cached ones included), dial, tls, authenticate (dial and tls included, except in HTTP).", histogramKind, with(perService, labelStage)},
		stageFailed:     {"secretless_stage_failures_total", "Stages that failed.", counter, with(perService, labelStage)},
		rotations:       {"secretless_rotation_retries_total", "Cached credentials that a target refused and that were fetched once more.", counter, perService},
		uses:            {"secretless_credential_uses_total", "Signatures that clients had an agent's keys make.", counter, perService},
		suspended:       {"secretless_credentials_suspended", "1 while a service's credentials are not tried, because the target keeps rejecting them.", gauge, []string{labelService}},
		panics:          {"secretless_panics_total", "Panics that ended a connection or a request.", counter, perService},
		httpRequests:    {"secretless_http_requests_total", "HTTP requests by the class of their answer; none is without one. The connector says how they are authenticated.", counter, with(perService, labelClass)},
		httpFailed:      {"secretless_http_requests_failed_total", "HTTP requests that were answered with an error of the broker's own, though the client did nothing wrong: no way to the target, or no credential.", counter, perService},
		httpTime:        {"secretless_http_request_seconds", "HTTP requests from their head to the end of the answer.", histogramKind, perService},

		lookups:        {"secretless_provider_lookups_total", "Lookups that were begun at a provider.", counter, perProvider},
		lookupFailures: {"secretless_provider_lookup_failures_total", "Lookups that ended in an error.", counter, perProvider},
		lookupTime:     {"secretless_provider_lookup_seconds", "Lookups that have ended, failed ones included.", histogramKind, perProvider},
		cacheHits:      {"secretless_provider_cache_hits_total", "Answers from the cache, stale ones included.", counter, perProvider},
		cacheMisses:    {"secretless_provider_cache_misses_total", "Answers that the cache did not have.", counter, perProvider},
		cacheEntries:   {"secretless_provider_cache_entries", "Sets of values in the cache.", gauge, perProvider},
		stale:          {"secretless_provider_stale_served_total", "Answers that had expired and served because a lookup failed.", counter, perProvider},
		providerDown:   {"secretless_provider_down", "1 while lookups fail at once because the provider does not answer.", gauge, perProvider},
		stuck:          {"secretless_provider_stuck_lookups", "Lookups that have not returned though their deadline has passed.", gauge, perProvider},
		leasesExpired:  {"secretless_provider_leases_expired_total", "Sets of values that left the cache at their lease's end.", counter, perProvider},
		leaseEnd:       {"secretless_provider_lease_expiry_timestamp_seconds", "When the first lease in the cache ends; absent without leases.", gauge, perProvider},
		lastAnswer:     {"secretless_provider_last_success_timestamp_seconds", "When a lookup last succeeded; absent before the first.", gauge, perProvider},
		providerPanics: {"secretless_provider_panics_total", "Panics in a provider.", counter, perProvider},

		reloads:           {"secretless_config_reloads_total", "Reloads by result: success or failure, which changes nothing.", counter, []string{labelResult}},
		reloadOK:          {"secretless_config_last_reload_successful", "0 while the last reload has failed and an older configuration runs.", gauge, nil},
		reloadLastSuccess: {"secretless_config_last_reload_success_timestamp_seconds", "When the configuration that runs was applied.", gauge, nil},
		reloadTook:        {"secretless_config_last_reload_duration_seconds", "How long the last reload took.", gauge, nil},

		auditLost:    {"secretless_audit_events_lost_total", "Audit events that could not be written.", counter, nil},
		exports:      {"secretless_otlp_requests_total", "Requests to the OpenTelemetry collector by signal and result.", counter, []string{labelSignal, labelResult}},
		rejected:     {"secretless_otlp_rejected_total", "Data points or spans that the OpenTelemetry collector has refused out of requests that it took.", counter, []string{labelSignal}},
		spans:        {"secretless_spans_total", "Spans that were recorded.", counter, nil},
		spansDropped: {"secretless_spans_dropped_total", "Spans that were recorded and lost: the collector does not take them as fast as they come.", counter, nil},
	}
}

// id is a metric in the code.
type id int

const (
	buildInfo id = iota
	ready
	connOpen
	connHandshaking
	connDraining
	connAccepted
	connEstablished
	connRefused
	connFailed
	connBytes
	handshakeTime
	stageTime
	stageFailed
	rotations
	uses
	suspended
	panics
	httpRequests
	httpFailed
	httpTime
	lookups
	lookupFailures
	lookupTime
	cacheHits
	cacheMisses
	cacheEntries
	stale
	providerDown
	stuck
	leasesExpired
	leaseEnd
	lastAnswer
	providerPanics
	reloads
	reloadOK
	reloadLastSuccess
	reloadTook
	auditLost
	exports
	rejected
	spans
	spansDropped
)
