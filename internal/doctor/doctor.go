// Package doctor tries out what a configuration describes: it resolves every
// service's credentials and logs in to every target, by the code that does it
// for clients, and says what it found and what to do.
package doctor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"secretless/internal/broker"
	"secretless/internal/connector"
	"secretless/internal/provider"
	"secretless/internal/secret"
)

// Status is how a service's examination ended.
type Status string

// The statuses.
const (
	OK     Status = "ok"
	Warned Status = "warning" // it works, and something should be mended
	Failed Status = "failed"
)

// Result is what was found out about one service. None of it is secret.
type Result struct {
	Service   string   `json:"service"`
	Connector string   `json:"connector"`
	Providers []string `json:"providers"`
	// Lookup is how long the credentials took, in milliseconds.
	Lookup float64 `json:"lookup_ms"`
	// Age is how long ago the provider gave them, in milliseconds.
	Age float64 `json:"age_ms"`
	// Lease is the end of the earliest lease; nil if there is none.
	Lease *time.Time `json:"lease_until,omitempty"`
	// Target, TLS and Detail are those of the connector's report.
	Target string `json:"target,omitempty"`
	TLS    string `json:"tls,omitempty"`
	Detail string `json:"detail,omitempty"`
	Status Status `json:"status"`
	// Kind is the kind of the failure, for programs.
	Kind string `json:"kind,omitempty"`
	// Problem and Advice are what is wrong and what to do.
	Problem string `json:"problem,omitempty"`
	Advice  string `json:"advice,omitempty"`
}

// Options say how to examine.
type Options struct {
	// AtOnce bounds how many services are examined at the same time.
	AtOnce int
	Log    *slog.Logger
}

// Examine returns a result for each service, in their order. Each has as long
// as a client would get: the service's handshake timeout.
func Examine(ctx context.Context, services []*broker.Service, o Options) []Result {
	results := make([]Result, len(services))
	places := make(chan struct{}, max(o.AtOnce, 1))
	var all sync.WaitGroup
	for n, s := range services {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			e := &examination{service: s, log: o.Log.With("service", s.Name)}
			results[n] = e.run(ctx)
		})
	}
	all.Wait()
	return results
}

// examination is that of one service. As the session's Credentials it watches
// the lookup.
type examination struct {
	service *broker.Service
	log     *slog.Logger
	result  Result
}

func (e *examination) run(ctx context.Context) Result {
	ctx, cancel := context.WithTimeoutCause(ctx, e.service.Limits.HandshakeTimeout, &connector.Failure{
		Kind: connector.KindTimeout, Err: errTimeout,
	})
	defer cancel()
	e.result = Result{Service: e.service.Name, Connector: e.service.Kind, Providers: []string{}, Status: OK}
	if c, ok := e.service.Credentials.(interface{ Providers() []string }); ok {
		e.result.Providers = append(e.result.Providers, c.Providers()...)
	}
	report, err := e.check(ctx)
	e.result.Target, e.result.TLS, e.result.Detail = report.Target, report.TLS, report.Detail
	if err == nil {
		err = checkListenerKey(ctx, e.service.ClientTLS)
	}
	switch {
	case err != nil:
		e.fail(err)
	case report.Unverified:
		e.result.Status = Warned
		e.result.Problem, e.result.Advice = "the target has not proved who it is", adviceUnverified(e.service.Kind)
	}
	return e.result
}

// check is the connector's own where it has one, else the lookup alone. A
// connector's panic ends its examination and no other.
func (e *examination) check(ctx context.Context) (report connector.Report, err error) {
	defer func() {
		if r := recover(); r != nil {
			e.log.Error("connector panicked", "panic_type", typeName(r))
			err = &connector.Failure{Kind: connector.KindInternal, Err: errPanic}
		}
	}()
	checker, ok := e.service.Connector.(connector.Checker)
	if !ok {
		set, err := e.Get(ctx)
		set.Wipe()
		if err != nil {
			return report, &connector.Failure{Kind: connector.KindCredentials, Err: err}
		}
		return connector.Report{Detail: "credentials only: the connector cannot try its target"}, nil
	}
	return checker.Check(ctx, &connector.Session{
		Service: e.service.Name, Log: e.log, Credentials: e, ConnectTimeout: e.service.Limits.ConnectTimeout,
	})
}

// Get is the service's, measured.
func (e *examination) Get(ctx context.Context) (*secret.Set, error) {
	start := time.Now()
	set, err := e.service.Credentials.Get(ctx)
	e.result.Lookup += milliseconds(time.Since(start))
	if err != nil {
		return nil, err
	}
	sourced, ok := e.service.Credentials.(interface {
		Sources(*secret.Set) []provider.Source
	})
	if !ok {
		return set, nil
	}
	for _, s := range sourced.Sources(set) {
		e.result.Age = max(e.result.Age, milliseconds(time.Since(s.Fetched)))
		if !s.Expires.IsZero() && (e.result.Lease == nil || s.Expires.Before(*e.result.Lease)) {
			e.result.Lease = &s.Expires
		}
	}
	return set, nil
}

// Rejected, Drop and Accepted are the service's.
func (e *examination) Rejected(set *secret.Set) bool { return e.service.Credentials.Rejected(set) }
func (e *examination) Drop(set *secret.Set) bool     { return e.service.Credentials.Drop(set) }
func (e *examination) Accepted(set *secret.Set)      { e.service.Credentials.Accepted(set) }

func (e *examination) fail(err error) {
	kind := connector.KindOf(err)
	e.result.Status, e.result.Kind = Failed, kind.String()
	e.result.Problem, e.result.Advice = err.Error(), advice(kind, e.service.Kind)
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
