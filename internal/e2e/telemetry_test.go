//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"secretless/internal/testenv"
)

// collector is an OpenTelemetry collector that keeps what it gets.
type collector struct {
	*httptest.Server

	mu     sync.Mutex
	raw    strings.Builder
	tokens map[string]bool
	names  map[string]bool
	spans  []*tracepb.Span
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{tokens: map[string]bool{}, names: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		c.tokens[r.Header.Get("Authorization")] = true
		var m metricspb.MetricsData
		var d tracepb.TracesData
		if r.URL.Path == "/v1/metrics" {
			if err := proto.Unmarshal(body, &m); err != nil {
				t.Error(err)
			}
			for _, one := range m.ResourceMetrics[0].ScopeMetrics[0].Metrics {
				c.names[one.Name] = true
			}
			return
		}
		if err := proto.Unmarshal(body, &d); err != nil {
			t.Error(err)
		}
		for _, one := range d.ResourceSpans {
			c.spans = append(c.spans, one.ScopeSpans[0].Spans...)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) all(name string) (found []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func fetchText(t *testing.T, client *http.Client, address string, header http.Header) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// The broker in front of PostgreSQL and of an HTTP API says how it does, to
// Prometheus and to a collector, and nothing that is a secret, of a client's
// choice, or of a statement.
func TestMetricsAndTraces(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	got := startCollector(t)
	var told http.Header
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told = r.Header.Clone() }))
	defer api.Close()
	r := prepare(t)
	r.env["OTLP_TOKEN"], r.env["API_PASSWORD"] = "Bearer otlp-canary-1", "api-canary-2"
	metrics, web := testenv.FreePort(t), testenv.FreePort(t)
	target, _ := url.Parse(api.URL)
	config := func(name string) string {
		return strings.Replace(r.yaml(service{server: server, user: server.Users.SCRAM}), "\n  db:", "\n  "+name+":", 1) + fmt.Sprintf(`metrics: { listen: "tcp://127.0.0.1:%d", interval: 1s }
tracing: { sample: 1 }
otlp: { endpoint: %q, headers: { Authorization: { from: env, get: OTLP_TOKEN } } }
`, metrics, got.URL) + "#"
	}
	httpService := fmt.Sprintf(`services:
  web:
    connector: basic_auth
    listenOn: tcp://127.0.0.1:%d
    credentials: { username: user-canary-3, password: { from: env, get: API_PASSWORD } }
    config: { hosts: [%q] }
`, web, target.Host)
	both := func(name string) string { return strings.Replace(config(name), "services:\n", httpService, 1) }
	r.run(both("db"))

	// Two connections that work, one whose database is not there, a probe.
	for range 2 {
		conn, err := pgx.Connect(t.Context(), r.dsn())
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := conn.QueryRow(t.Context(), "SELECT 1 /* statement-canary-4 */").Scan(&n); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
	}
	if _, err := pgx.Connect(t.Context(), strings.Replace(r.dsn(), "dbname="+testenv.Database, "dbname=client-canary-5", 1)); err == nil {
		t.Fatal("a database that is not there")
	}
	proxy := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", web)})}}
	defer proxy.CloseIdleConnections()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	fetchText(t, proxy, api.URL+"/path-canary-6?key=query-canary-7", http.Header{
		"Traceparent": {"00-" + trace + "-b7ad6b7169203331-01"}, "Baggage": {"user=baggage-canary-8"},
	})
	if !strings.HasPrefix(told.Get("Traceparent"), "00-"+trace+"-") || strings.Contains(told.Get("Traceparent"), "b7ad6b7169203331") ||
		told.Get("Baggage") != "user=baggage-canary-8" || !strings.HasPrefix(told.Get("Authorization"), "Basic ") {
		t.Errorf("the target was told %v", told)
	}
	fetchText(t, proxy, api.URL, nil)
	if !strings.HasSuffix(told.Get("Traceparent"), "-01") || strings.Contains(told.Get("Traceparent"), trace) {
		t.Errorf("without a trace of the client's: %v", told)
	}
	proxy.CloseIdleConnections()

	scrape := func() string {
		return fetchText(t, http.DefaultClient, fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics), nil)
	}
	defer http.DefaultClient.CloseIdleConnections()
	wanted := []string{
		`secretless_connections_accepted_total{connector="pg",service="db"} 3`,
		`secretless_connections_established_total{connector="pg",service="db"} 2`,
		`secretless_connections_failed_total{connector="pg",reason="target",service="db"} 1`,
		`secretless_connections_open{connector="pg",service="db"} 0`,
		`secretless_handshake_seconds_count{connector="pg",service="db"} 2`,
		`secretless_stage_seconds_count{connector="pg",service="db",stage="authenticate"} 2`,
		`secretless_stage_failures_total{connector="pg",service="db",stage="authenticate"} 1`,
		`secretless_stage_seconds_count{connector="pg",service="db",stage="dial"} 3`,
		`secretless_stage_seconds_count{connector="pg",service="db",stage="lookup"} 3`,
		`secretless_http_requests_total{class="2xx",connector="basic_auth",service="web"} 2`,
		`secretless_http_request_seconds_count{connector="basic_auth",service="web"} 2`,
		`secretless_connections_open{connector="basic_auth",service="web"} 0`,
		`secretless_provider_lookup_failures_total{provider="env"} 0`,
	}
	r.eventually("the counts "+strings.Join(wanted, "\n"), func() bool {
		text := scrape()
		wanted = slices.DeleteFunc(wanted, func(w string) bool { return strings.Contains(text, w+"\n") })
		return len(wanted) == 0
	})

	r.eventually("the collector to have the counts", func() bool {
		got.mu.Lock()
		defer got.mu.Unlock()
		return got.names["secretless_connections_open"] && got.names["go_goroutines"]
	})

	// A reload gives the service another name: the old one's series end.
	before := len(seriesOf(scrape()))
	r.write(both("renamed"))
	r.signals <- syscall.SIGHUP
	r.eventually("the old series to end", func() bool {
		text := scrape()
		return strings.Contains(text, `service="renamed"`) && !strings.Contains(text, `service="db"`)
	})
	text := scrape()
	if after := len(seriesOf(text)); after > before {
		t.Errorf("%d series, %d before the reload", after, before)
	}
	if !strings.Contains(text, `secretless_config_reloads_total{result="success"} 1`) {
		t.Error("the reload is not counted")
	}

	r.signals <- syscall.SIGTERM // sends what there is
	<-r.done
	connections := got.all("connection")
	if len(connections) < 4 || len(got.all("GET")) != 2 {
		t.Fatalf("%d connections, %d requests", len(connections), len(got.all("GET")))
	}
	for _, name := range []string{"lookup", "authenticate", "dial"} {
		if spans := got.all(name); len(spans) < 3 || len(spans[0].ParentSpanId) == 0 {
			t.Errorf("%s: %v", name, spans)
		}
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.tokens) != 1 || !got.tokens["Bearer otlp-canary-1"] {
		t.Errorf("tokens %v", got.tokens)
	}
	for _, secret := range []string{"canary", server.Users.SCRAM.Password, server.Users.SCRAM.Name, "nobody"} {
		if strings.Contains(text, secret) || strings.Contains(got.raw.String(), secret) {
			t.Errorf("%q is in metrics or spans", secret)
		}
	}
	if r.log.has("canary-1") || r.log.has("canary-2") {
		t.Error("a secret is in the log")
	}
}

var series = regexp.MustCompile(`(?m)^secretless_[^ ]+`)

func seriesOf(text string) []string { return series.FindAllString(text, -1) }

// Whatever clients say, the number of series stays.
func TestClientsMakeNoSeries(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	metrics := testenv.FreePort(t)
	r.run(r.yaml(service{server: server, user: server.Users.SCRAM}) + fmt.Sprintf("metrics: { listen: \"tcp://127.0.0.1:%d\" }\n", metrics))
	scrape := func() int {
		return len(seriesOf(fetchText(t, http.DefaultClient, fmt.Sprintf("http://127.0.0.1:%d/metrics", metrics), nil)))
	}
	defer http.DefaultClient.CloseIdleConnections()
	if conn, err := pgx.Connect(t.Context(), r.dsn()); err == nil {
		_ = conn.Close(t.Context())
	}
	before := scrape()
	for n := range 20 {
		dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=u%d dbname=d%d application_name=a%d sslmode=disable connect_timeout=20", r.port, n, n, n)
		if _, err := pgx.Connect(t.Context(), dsn); err == nil {
			t.Fatal("a database that is not there")
		}
	}
	if after := scrape(); after != before {
		t.Errorf("%d series, %d before", after, before)
	}
}

// A metrics address that cannot be had fails the reload and changes nothing,
// and one that can takes over. It is no part of the site of a page whose name
// resolves to it.
func TestMetricsAddressChanges(t *testing.T) {
	server := testenv.Postgres(t, testenv.PG{})
	r := prepare(t)
	first, second := testenv.FreePort(t), testenv.FreePort(t)
	with := func(port int) string {
		return r.yaml(service{server: server, user: server.Users.SCRAM}) + fmt.Sprintf("metrics: { listen: \"tcp://127.0.0.1:%d\" }\n", port)
	}
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	r.run(with(first))
	address, _ := url.Parse(taken.URL)
	var busy int
	_, _ = fmt.Sscan(address.Port(), &busy)
	r.write(with(busy))
	r.signals <- syscall.SIGHUP
	r.eventually("the reload to fail", func() bool { return r.log.has("opening metrics.listen") })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	if !strings.Contains(fetchText(t, client, fmt.Sprintf("http://127.0.0.1:%d/metrics", first), nil), "secretless_config_last_reload_successful 0\n") {
		t.Error("the failed reload does not show")
	}
	r.write(with(second))
	r.signals <- syscall.SIGHUP
	r.eventually("the new address", func() bool {
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", second))
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
	page, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", second), nil)
	if err != nil {
		t.Fatal(err)
	}
	page.Host = "page.example"
	if resp, err := client.Do(page); err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a page: %v, %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}
	r.eventually("the end of the old address", func() bool {
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", first))
		if err == nil {
			_ = resp.Body.Close()
		}
		return err != nil
	})
}
