package metrics

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"secretless/internal/broker"
	"secretless/internal/histogram"
	"secretless/internal/otlp"
	"secretless/internal/stage"
)

func sources() Sources {
	var took histogram.Durations
	took.Observe(3 * time.Millisecond)
	return Sources{
		Version: "v1", Ready: func() bool { return true },
		Services: func() []broker.Measurement {
			return []broker.Measurement{{
				ServiceStatus: broker.ServiceStatus{
					Name: "tcp://127.0.0.1:8080", Connector: "http", Members: []string{"a", "b"}, Suspended: []string{"b"},
					Active: 3, Handshakes: 2, Draining: 1, Accepted: 9, Established: 4, Refused: 2, Failed: 1,
					Refusals: map[string]uint64{"peer": 2}, Failures: map[string]uint64{"tls": 1},
					BytesToTarget: 10, BytesToClient: 20, Panics: 1, Rotations: 5, Uses: 6,
				},
				HandshakeTimes: took.Snapshot(),
				Stages:         []broker.StageMeasurement{{Stage: stage.Dial, Times: took.Snapshot(), Failed: 7}},
				Requests:       []broker.RequestMeasurement{{Service: "a", Connector: "aws", Times: took.Snapshot(), Answers: map[string]uint64{"2xx": 8}}},
			}}
		},
		Reloads: func() Reloads {
			return Reloads{Succeeded: 1, Failed: 2, LastFailed: true, LastSuccess: time.Unix(1000, 0), Took: time.Second}
		},
		Exports: func() otlp.Stats {
			return otlp.Stats{Sent: map[string]uint64{"traces": 1}, Failed: map[string]uint64{"traces": 2}, Rejected: map[string]uint64{"traces": 12}, Spans: 3, Dropped: 1}
		},
		AuditLost: func() uint64 { return 11 },
	}
}

func TestCollector(t *testing.T) {
	want := `
# HELP secretless_build_info The version that runs; always 1.
# TYPE secretless_build_info gauge
secretless_build_info{version="v1"} 1
# HELP secretless_connections_refused_total Connections that were not served: by allow (peer), by a limit (limit), or because the audit could not be written (audit).
# TYPE secretless_connections_refused_total counter
secretless_connections_refused_total{connector="http",reason="audit",service="tcp://127.0.0.1:8080"} 0
secretless_connections_refused_total{connector="http",reason="limit",service="tcp://127.0.0.1:8080"} 0
secretless_connections_refused_total{connector="http",reason="peer",service="tcp://127.0.0.1:8080"} 2
# HELP secretless_credentials_suspended 1 while a service's credentials are not tried, because the target keeps rejecting them.
# TYPE secretless_credentials_suspended gauge
secretless_credentials_suspended{service="a"} 0
secretless_credentials_suspended{service="b"} 1
secretless_credentials_suspended{service="tcp://127.0.0.1:8080"} 0
# HELP secretless_config_last_reload_successful 0 while the last reload has failed and an older configuration runs.
# TYPE secretless_config_last_reload_successful gauge
secretless_config_last_reload_successful 0
# HELP secretless_config_last_reload_success_timestamp_seconds When the configuration that runs was applied.
# TYPE secretless_config_last_reload_success_timestamp_seconds gauge
secretless_config_last_reload_success_timestamp_seconds 1000
# HELP secretless_stage_failures_total Stages that failed.
# TYPE secretless_stage_failures_total counter
secretless_stage_failures_total{connector="http",service="tcp://127.0.0.1:8080",stage="dial"} 7
# HELP secretless_http_requests_total HTTP requests by the class of their answer; none is without one. The connector says how they are authenticated.
# TYPE secretless_http_requests_total counter
secretless_http_requests_total{class="2xx",connector="aws",service="a"} 8
# HELP secretless_audit_events_lost_total Audit events that could not be written.
# TYPE secretless_audit_events_lost_total counter
secretless_audit_events_lost_total 11
# HELP secretless_otlp_rejected_total Data points or spans that the OpenTelemetry collector has refused out of requests that it took.
# TYPE secretless_otlp_rejected_total counter
secretless_otlp_rejected_total{signal="traces"} 12
`
	names := []string{
		"secretless_build_info", "secretless_connections_refused_total", "secretless_credentials_suspended",
		"secretless_config_last_reload_successful", "secretless_config_last_reload_success_timestamp_seconds",
		"secretless_stage_failures_total", "secretless_http_requests_total", "secretless_audit_events_lost_total", "secretless_otlp_rejected_total",
	}
	if err := testutil.CollectAndCompare(newCollector(sources()), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	// Prometheus' own rules for names and help.
	problems, err := testutil.CollectAndLint(newCollector(sources()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestHandler(t *testing.T) {
	h := Handler(NewRegistry(sources()))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"secretless_handshake_seconds_bucket", `le="0.005"} 1`, "go_goroutines", "secretless_connections_open"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in the answer", want)
		}
	}
	for method, path := range map[string]string{"POST": "/metrics", "GET": "/"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code < 400 {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
}
