package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const observedSection = "With metrics and traces"

// scrapeEvery is far more often than anybody scrapes.
const scrapeEvery = time.Second

// observed is the broker as somebody runs it who wants to know all about it:
// metrics are scraped every second and sent every second, and connections are
// traced as by default, to a collector that throws everything away.
type observed struct {
	collector string // its URL

	mu     sync.Mutex
	scrape map[int]string // URL of the metrics by the broker's port
}

// observedLoads compare the broker with itself. -only observed asks for them.
func observedLoads(b *bench) []load {
	o := &observed{scrape: map[int]string{}}
	var both []relay
	for _, r := range b.relays {
		if r.name == broker {
			watched := r
			watched.name, watched.prepare = brokerObserved, o.prepare
			both = []relay{r, watched}
		}
	}
	var all []load
	for _, clients := range []int{1, 8} {
		for _, mode := range []string{"simple", "prepared"} {
			l := newLoad(postgres(), observedSection, observedName(mode, clients), way{network: "tcp"}, transactions())
			l.relays, l.alone = both, true
			run := pgbenchLoad{mode: mode, clients: clients, seconds: b.options.seconds}.run
			l.run = func(ctx context.Context, e endpoint) (outcome, error) { return o.run(ctx, e, run) }
			all = append(all, l)
		}
	}
	return all
}

// prepare is prepareBroker with everything on.
func (o *observed) prepare(r relay, owner account, at place, t target) (launch, error) {
	port, err := freePort()
	if err != nil {
		return launch{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.collector == "" {
		o.collector = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		})).URL // ends with this program
	}
	o.scrape[at.port] = fmt.Sprintf("http://%s:%d/metrics", loopback, port)
	how, err := prepareBroker(r, owner, at, t)
	if err != nil {
		return launch{}, err
	}
	return how, owner.appendFile(filepath.Join(at.dir, "secretless.yml"), fmt.Sprintf(`metrics: { listen: "tcp://%s:%d", interval: 1s }
tracing: {}
otlp: { endpoint: %q }
`, loopback, port, o.collector))
}

// run is a load during which the metrics are scraped, where there are any.
func (o *observed) run(ctx context.Context, e endpoint, load func(context.Context, endpoint) (outcome, error)) (outcome, error) {
	o.mu.Lock()
	url := o.scrape[e.port]
	o.mu.Unlock()
	if url == "" {
		return load(ctx, e)
	}
	scraping, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() { failed <- scrape(scraping, url) }()
	done, err := load(ctx, e)
	stop()
	if missed := <-failed; err == nil {
		err = missed
	}
	return done, err
}

// scrape reads the metrics at once and then every second.
func scrape(ctx context.Context, url string) error {
	client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}}
	defer client.CloseIdleConnections()
	ticks := time.NewTicker(scrapeEvery)
	defer ticks.Stop()
	for {
		if err := scrapeOnce(ctx, client, url); err != nil && ctx.Err() == nil {
			return fmt.Errorf("reading the metrics: %w", err)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func scrapeOnce(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(text), "secretless_connections_open") {
		err = fmt.Errorf("the answer %d has none", resp.StatusCode)
	}
	return err
}
