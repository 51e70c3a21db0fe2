package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"secretless/internal/broker"
	"secretless/internal/connector"
	"secretless/internal/doctor"
	"secretless/internal/provider"
	"secretless/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is the value of every credential.
const canary = "c4nary-8731"

// fake is a connector whose check a test writes.
type fake func(context.Context, *connector.Session) (connector.Report, error)

func (fake) ServeConn(context.Context, *connector.Session) error { return errors.New("no client here") }

func (f fake) Check(ctx context.Context, s *connector.Session) (connector.Report, error) {
	return f(ctx, s)
}

// mute is a connector that cannot try its target.
type mute struct{}

func (mute) ServeConn(context.Context, *connector.Session) error { return errors.New("no client here") }

type source func(context.Context) (map[string]provider.Lease, error)

func (s source) Fetch(ctx context.Context, _ []string) (map[string]provider.Lease, error) {
	return s(ctx)
}

func answers(lease time.Duration, takes time.Duration) source {
	return func(context.Context) (map[string]provider.Lease, error) {
		time.Sleep(takes)
		l := provider.Lease{Value: secret.Copy(canary)}
		if lease > 0 {
			l.Expires = time.Now().Add(lease)
		}
		return map[string]provider.Lease{"x": l}, nil
	}
}

func service(t *testing.T, name string, c connector.Connector, s source) *broker.Service {
	t.Helper()
	instance := provider.NewInstance(provider.InstanceOptions{Name: "vault", Provider: s})
	credentials := provider.NewCredentials(name, []provider.Ref{
		{Name: "password", Instance: instance, Get: "x"}, {Name: "host", Literal: secret.Copy("h")},
	}, nil)
	instance.Close()
	t.Cleanup(credentials.Close)
	return &broker.Service{
		Name: name, Kind: "fake", Connector: c, Credentials: credentials,
		Limits: broker.Limits{ConnectTimeout: time.Second, HandshakeTimeout: 10 * time.Second},
	}
}

func examine(ctx context.Context, atOnce int, services ...*broker.Service) []doctor.Result {
	return doctor.Examine(ctx, services, doctor.Options{AtOnce: atOnce, Log: slog.New(slog.DiscardHandler)})
}

// works authenticates as the connectors do.
func works(report connector.Report, err error) fake {
	return func(ctx context.Context, s *connector.Session) (connector.Report, error) {
		return report, s.Authenticate(ctx, func(_ context.Context, set *secret.Set) error {
			if set.Text("password", "") != canary {
				return errors.New("wrong credentials")
			}
			return err
		})
	}
}

func TestResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejected := &connector.Failure{Kind: connector.KindRejected, Err: errors.New("password authentication failed")}
		results := examine(t.Context(), 2,
			service(t, "good", works(connector.Report{Target: "db:1", TLS: "TLS 1.3", Detail: "version 3"}, nil), answers(time.Hour, 20*time.Millisecond)),
			service(t, "open", works(connector.Report{Unverified: true}, nil), answers(0, 0)),
			service(t, "rejected", works(connector.Report{Target: "db:2"}, rejected), answers(0, 0)),
			service(t, "mute", mute{}, answers(0, 0)),
			service(t, "sealed", mute{}, func(context.Context) (map[string]provider.Lease, error) { return nil, errors.New("sealed") }),
			service(t, "panics", fake(func(context.Context, *connector.Session) (connector.Report, error) { panic(canary) }), answers(0, 0)),
		)
		text, err := json.MarshalIndent(results, "", " ")
		if err != nil || strings.Contains(string(text), canary) {
			t.Fatalf("%v %s", err, text)
		}
		var brief []string
		for _, r := range results {
			brief = append(brief, r.Service+" "+string(r.Status)+" "+r.Kind+" "+r.Target+" "+r.Detail+" "+r.Problem)
			if (r.Status == doctor.OK) != (r.Advice == "") || strings.Join(r.Providers, ",") != "vault" {
				t.Errorf("%+v", r)
			}
		}
		want := `good ok  db:1 version 3 
open warning    the target has not proved who it is
rejected failed rejected db:2  password authentication failed
mute ok   credentials only: the connector cannot try its target 
sealed failed credentials   provider vault: x: sealed
panics failed internal   the connector failed internally, see the log`
		if got := strings.Join(brief, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if g := results[0]; g.Lookup != 20 || g.Lease == nil || time.Until(*g.Lease) > time.Hour || time.Until(*g.Lease) < 59*time.Minute {
			t.Errorf("%+v", g)
		}
		if results[1].Lease != nil {
			t.Error("a lease from nowhere")
		}
	})
}

// No more than asked for run at a time, and one that hangs ends by its
// service's deadline and holds up no other.
func TestBoundsAndDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		check := fake(func(ctx context.Context, s *connector.Session) (connector.Report, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if s.Service != "hangs" {
				time.Sleep(time.Second)
				return connector.Report{}, nil
			}
			<-ctx.Done()
			return connector.Report{}, context.Cause(ctx)
		})
		services := []*broker.Service{service(t, "hangs", check, answers(0, 0))}
		for range 20 {
			services = append(services, service(t, "good", check, answers(0, 0)))
		}
		start := time.Now()
		results := examine(t.Context(), 3, services...)
		if took := time.Since(start); took != 10*time.Second || most.Load() != 3 {
			t.Errorf("took %v, %d at once", took, most.Load())
		}
		for n, r := range results {
			if (n == 0) != (r.Status == doctor.Failed) || n == 0 && r.Kind != "timeout" {
				t.Errorf("%d: %+v", n, r)
			}
		}
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		hangs := fake(func(ctx context.Context, _ *connector.Session) (connector.Report, error) {
			<-ctx.Done()
			return connector.Report{}, context.Cause(ctx)
		})
		results := examine(ctx, 1, service(t, "a", hangs, answers(0, 0)), service(t, "b", hangs, answers(0, 0)))
		if time.Since(start) != time.Second || results[0].Status != doctor.Failed || results[1].Status != doctor.Failed {
			t.Errorf("after %v: %+v", time.Since(start), results)
		}
	})
}

// Every kind of failure has its advice.
func TestAdvice(t *testing.T) {
	var services []*broker.Service
	for k := connector.KindInternal; k <= connector.KindClientGone; k++ {
		services = append(services, service(t, k.String(), works(connector.Report{}, &connector.Failure{Kind: k, Err: errors.New("x")}), answers(0, 0)))
	}
	for _, r := range examine(t.Context(), 4, services...) {
		if strings.Contains(r.Advice, "sslmode") {
			t.Errorf("%s: the advice is about a database: %s", r.Kind, r.Advice)
		}
		if r.Kind != r.Service || r.Advice == "" || (r.Kind == "internal") != strings.Contains(r.Advice, "fault of the broker") &&
			r.Kind != "limit" {
			t.Errorf("%+v", r)
		}
	}
}
