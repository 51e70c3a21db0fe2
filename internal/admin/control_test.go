package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/admin"
	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/broker"
	"secretless/internal/peer"
)

// operations are a broker that a test makes up.
func operations(change func(*admin.Operations)) admin.Operations {
	o := admin.Operations{
		Status:      func() admin.Status { return admin.Status{} },
		Connections: func(broker.ConnectionQuery) ([]broker.ConnectionStatus, int) { return nil, 0 },
		Close:       func(context.Context, uint64) error { return nil },
		Reload:      func(context.Context) error { return nil },
		Drain:       func(...string) error { return nil },
		Level:       admin.NewLevel(slog.LevelInfo),
		Recent:      admin.NewRecent(),
		Log:         slog.New(slog.DiscardHandler),
		Audit:       audit.Nop{},
	}
	if change != nil {
		change(&o)
	}
	return o
}

// control runs a control server and returns a client of it.
func control(t *testing.T, change func(*admin.Operations)) (*admin.Client, *admin.Server) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	log := slog.New(slog.DiscardHandler)
	s := serve(t, admin.Private(listen(t, "unix", path), log, audit.Nop{}), admin.Control(operations(change)))
	return admin.Dial(path), s
}

// request sends one by hand, over the socket of client.
func request(t *testing.T, client *admin.Client, method, path, body string) (int, string) {
	t.Helper()
	c, err := net.Dial("unix", client.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	return exchange(t, c, method, path, body)
}

func TestControlStatus(t *testing.T) {
	fail := errors.New("s.yml:3:4: is wrong\ns.yml:5:6: is wrong too")
	var failing atomic.Bool
	client, _ := control(t, func(o *admin.Operations) {
		o.Status = func() admin.Status {
			return admin.Status{Config: "s.yml", Services: []broker.ServiceStatus{{Name: "db", Active: 7}}}
		}
		o.Reload = func(context.Context) error {
			if failing.Load() {
				return fail
			}
			return nil
		}
	})
	if err := client.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	failing.Store(true)
	if err := client.Reload(t.Context()); err == nil || err.Error() != fail.Error() {
		t.Errorf("got %v", err)
	}
	s, err := client.Status(t.Context())
	if err != nil || s.Config != "s.yml" || s.Services[0].Active != 7 {
		t.Errorf("got %+v, %v", s, err)
	}
	// As scripts know it from before there were versions.
	if code, body := request(t, client, "GET", "/status", ""); code != 200 || !strings.Contains(body, `"active":7`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := request(t, client, "POST", "/reload", ""); code != 422 || body != fail.Error() {
		t.Errorf("%d %s", code, body)
	}
}

func TestControlConnections(t *testing.T) {
	since := time.Now().Add(-time.Minute).Round(0).UTC()
	var closed atomic.Uint64
	client, _ := control(t, func(o *admin.Operations) {
		o.Connections = func(q broker.ConnectionQuery) ([]broker.ConnectionStatus, int) {
			var list []broker.ConnectionStatus
			for id := q.After + 1; id <= 5 && len(list) < q.Limit; id++ {
				list = append(list, broker.ConnectionStatus{
					ID: id, Service: q.Service, State: broker.StateRelaying, Since: since, Target: "10.0.0.1:5432",
					Peer: peer.Identity{Known: true, UID: 1000, PID: 4711, Executable: "/usr/bin/psql"}, Idle: -1, ToTarget: 3,
				})
			}
			return list, 5
		}
		o.Close = func(_ context.Context, id uint64) error {
			if id == 9 {
				return broker.ErrNoConnection
			}
			closed.Store(id)
			return nil
		}
	})
	page, err := client.Connections(t.Context(), "db", 1, 2)
	if err != nil || page.Total != 5 || page.Next != 3 || len(page.Connections) != 2 {
		t.Fatalf("got %+v, %v", page, err)
	}
	c := page.Connections[0]
	if c.ID != 2 || c.Service != "db" || c.State != "relaying" || !c.Since.Equal(since) || c.Target != "10.0.0.1:5432" ||
		*c.Peer != (admin.Peer{UID: 1000, PID: 4711, Executable: "/usr/bin/psql"}) || c.Idle != nil || c.BytesToTarget != 3 {
		t.Errorf("got %+v", c)
	}
	if page, err = client.Connections(t.Context(), "", 3, 10); err != nil || page.Next != 0 || len(page.Connections) != 2 {
		t.Errorf("the last page: %+v, %v", page, err)
	}
	if err := client.CloseConnection(t.Context(), 7); err != nil || closed.Load() != 7 {
		t.Errorf("closed %d, %v", closed.Load(), err)
	}
	if err := client.CloseConnection(t.Context(), 9); err == nil || err.Error() != "no connection with the id 9 is open" {
		t.Errorf("got %v", err)
	}
}

func TestControlDrain(t *testing.T) {
	var drained []string
	client, _ := control(t, func(o *admin.Operations) {
		o.Drain = func(names ...string) error {
			if len(names) == 1 && names[0] == "nope" {
				return &broker.UnknownServiceError{Name: "nope", Known: []string{"a b", "db"}}
			}
			drained = names
			return nil
		}
		o.Status = func() admin.Status {
			return admin.Status{Services: []broker.ServiceStatus{{Name: "db", Drained: true, Draining: 3}, {Name: "web"}}}
		}
	})
	d, err := client.Drain(t.Context(), "a b", "db")
	if err != nil || d.Connections != 3 || len(d.Services) != 1 || fmt.Sprint(drained) != "[a b db]" {
		t.Errorf("got %+v, %v; asked for %q", d, err, drained)
	}
	if _, err := client.Drain(t.Context()); err != nil || len(drained) != 0 {
		t.Errorf("all: %v, asked for %q", err, drained)
	}
	if _, err := client.Drain(t.Context(), "nope"); err == nil || err.Error() != `there is no service "nope"; there are a b, db` {
		t.Errorf("got %v", err)
	}
}

func TestControlLogLevel(t *testing.T) {
	client, _ := control(t, nil)
	if r, err := client.LogLevel(t.Context()); err != nil || r.Level != "info" || r.Until != nil {
		t.Errorf("got %+v, %v", r, err)
	}
	r, err := client.SetLogLevel(t.Context(), admin.LevelRequest{Level: "debug", For: "1h"})
	if err != nil || r.Level != "debug" || r.Then != "info" || time.Until(*r.Until) < 59*time.Minute {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = client.SetLogLevel(t.Context(), admin.LevelRequest{Level: "warn"}); err != nil || r.Level != "warn" || r.Until != nil {
		t.Errorf("got %+v, %v", r, err)
	}
}

// What is wrong with a request is said, and changes nothing.
func TestControlRefuses(t *testing.T) {
	client, _ := control(t, func(o *admin.Operations) {
		o.Close = func(context.Context, uint64) error { t.Error("closed"); return nil }
		o.Drain = func(...string) error { return errors.New("the broker does not serve yet") }
	})
	for _, test := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/v1/reload", "", 405, "Method Not Allowed"},
		{"GET", "/v2/status", "", 404, "404 page not found"},
		{"GET", "/v1/connections?limit=x", "", 400, "limit must be a number"},
		{"GET", "/v1/connections?after=-1", "", 400, "after must be a number"},
		{"DELETE", "/v1/connections/x", "", 400, "the id of a connection is a number"},
		{"POST", "/v1/drain", "", 409, "the broker does not serve yet"},
		{"PUT", "/v1/log-level", `{"level":"loud"}`, 400, "the level must be debug, info, warn or error"},
		{"PUT", "/v1/log-level", `{"level":"error+1000"}`, 400, "the level must be debug, info, warn or error"}, // nothing at all
		{"PUT", "/v1/log-level", `{"level":"debug","for":"-1s"}`, 400, "for must be a duration such as 10m, of 24h0m0s at most"},
		{"PUT", "/v1/log-level", `{"level":"debug","for":"25h"}`, 400, "for must be a duration such as 10m, of 24h0m0s at most"},
		{"PUT", "/v1/log-level", `{"level":"debug","fro":"1h"}`, 400, `the body must be an object such as {"level":"debug","for":"10m"}`},
		{"PUT", "/v1/log-level", `{"level":"debug","for":"` + strings.Repeat("0", 8<<10) + `1s"}`, 400, `the body must be an object such as {"level":"debug","for":"10m"}`},
		{"GET", "/v1/profiles/core", "", 404, `there is no profile "core"; there are cpu, trace, mutex, block, goroutine, heap, allocs and threadcreate`},
		{"GET", "/v1/profiles/cpu?seconds=61", "", 400, "seconds must be from 1 to 60 for the profile cpu"},
		{"GET", "/v1/profiles/trace?seconds=11", "", 400, "seconds must be from 1 to 10 for the profile trace"},
		{"GET", "/v1/profiles/heap?seconds=1", "", 400, "the profile heap is of one moment: leave seconds out"},
		{"GET", "/v1/events?after=x", "", 400, "after must be a number"},
	} {
		if code, body := request(t, client, test.method, test.path, test.body); code != test.code || body != test.want {
			t.Errorf("%s %s: %d %.200s", test.method, test.path, code, body)
		}
	}
	if r, err := client.LogLevel(t.Context()); err != nil || r.Level != "info" {
		t.Errorf("level %+v, %v", r, err)
	}
}

// What others have named drives the terminal of nobody who asks with curl.
func TestAnswersDriveNoTerminal(t *testing.T) {
	const hostile = "a\u009b2J\u202eb\nc"
	client, _ := control(t, func(o *admin.Operations) {
		o.Status = func() admin.Status { return admin.Status{Services: []broker.ServiceStatus{{Name: hostile}}} }
		o.Reload = func(context.Context) error { return errors.New(hostile) }
		slog.New(o.Recent.Handler(slog.DiscardHandler)).Error(hostile)
	})
	for _, test := range [][3]string{
		{"GET", "/v1/status", `"name":"a\u009b2J\u202eb\nc"`},
		{"GET", "/v1/errors", `"text":"a\u009b2J\u202eb\nc"`},
		{"POST", "/v1/reload", "a?2J?b\nc"},
	} {
		if _, body := request(t, client, test[0], test[1], ""); !strings.Contains(body, test[2]) {
			t.Errorf("%s: %q", test[1], body)
		}
	}
}

// A reload does not depend on who asked for it.
func TestReloadOutlivesItsClient(t *testing.T) {
	begun, left := make(chan struct{}), make(chan struct{})
	var end atomic.Value
	client, server := control(t, func(o *admin.Operations) {
		o.Reload = func(ctx context.Context) error {
			close(begun)
			<-left
			time.Sleep(50 * time.Millisecond) // the server has noticed by then, were it to cancel
			end.Store(fmt.Sprint(ctx.Err()))
			return nil
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if err := client.Reload(ctx); err == nil {
		t.Error("no error for a client that gave up")
	}
	close(left)
	// Close waits for the request even if its own time is up.
	over, stop := context.WithCancel(context.Background())
	stop()
	server.Close(over)
	if end.Load() != "<nil>" {
		t.Errorf("the reload was ended: %v", end.Load())
	}
}

// Whoever changes something is in the log.
func TestRequestsAreLogged(t *testing.T) {
	var log strings.Builder
	var mu sync.Mutex
	client, _ := control(t, func(o *admin.Operations) {
		o.Log = slog.New(slog.NewTextHandler(&guarded{mu: &mu, to: &log}, nil))
	})
	_, _ = client.Status(t.Context())
	_ = client.CloseConnection(t.Context(), 4711)
	mu.Lock()
	defer mu.Unlock()
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `msg="admin request: close a connection" connection=4711 peer.uid=`+fmt.Sprint(os.Geteuid())) && runtime.GOOS == "linux" {
		t.Errorf("log: %s", got)
	}
}

// What was done through the socket is in the audit, with who asked and what came
// of it; what was only asked about, or in no way that means anything, is not.
func TestRequestsAreAudited(t *testing.T) {
	var events events
	client, _ := control(t, func(o *admin.Operations) {
		o.Audit = &events
		o.Close = func(_ context.Context, id uint64) error {
			if id == 9 {
				return broker.ErrNoConnection
			}
			return nil
		}
		o.Drain = func(names ...string) error {
			if len(names) == 1 {
				return &broker.UnknownServiceError{Name: names[0]}
			}
			return nil
		}
		o.Reload = func(ctx context.Context) error {
			if got := admin.Caller(ctx); got.Known && got.UID != uint32(os.Geteuid()) {
				t.Errorf("a reload is asked for by %v", got)
			}
			return nil
		}
	})
	ctx := t.Context()
	_, _ = client.Status(ctx)
	_ = client.CloseConnection(ctx, 7)
	_ = client.CloseConnection(ctx, 9)
	_, _ = client.Drain(ctx, "a b", "db")
	_, _ = client.Drain(ctx, "nope")
	_, _ = client.Drain(ctx)
	_, _ = client.SetLogLevel(ctx, admin.LevelRequest{Level: "DEBUG", For: "10m"})
	_, _ = client.SetLogLevel(ctx, admin.LevelRequest{Level: "warn"})
	_, _ = client.SetLogLevel(ctx, admin.LevelRequest{Level: "loud"})
	_, _ = client.Profile(ctx, "heap", 0)
	_, _ = client.Profile(ctx, "mutex", 1)
	_, _ = client.Profile(ctx, "core", 0)
	_ = client.Reload(ctx)
	var got []string
	for _, e := range events.all() {
		got = append(got, strings.Join(strings.Fields(fmt.Sprintln(e.Type, e.Action, e.Connection, e.Detail, e.Outcome)), " "))
		if e.Peer.UID != uint32(os.Geteuid()) || runtime.GOOS == "linux" && (e.Peer.PID != os.Getpid() || e.Peer.Executable == "") {
			t.Errorf("%s %s by %+v", e.Type, e.Action, e.Peer)
		}
		if e.Detail == "mutex for 1s" && e.Duration < time.Second || e.Duration < 0 {
			t.Errorf("%s took %v", e.Detail, e.Duration)
		}
	}
	want := []string{
		"admin close 7 ok", "admin close 9 failed", "admin drain 0 a b, db ok", "admin drain 0 nope failed", "admin drain 0 all services ok",
		"admin log-level 0 debug for 10m0s ok", "admin log-level 0 warn ok", "admin profile 0 heap ok", "admin profile 0 mutex for 1s ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	audittest.Events(t, events.all())
}

// events is an audit that a test looks at.
type events struct {
	audit.Nop
	mu   sync.Mutex
	list []audit.Event
}

func (e *events) Record(one audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, one)
}

func (e *events) all() []audit.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

type guarded struct {
	mu *sync.Mutex
	to io.Writer
}

func (g *guarded) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.to.Write(b)
}

func TestClientErrors(t *testing.T) {
	dir := t.TempDir()
	answer := func(code int, body string) *admin.Client {
		path := filepath.Join(dir, fmt.Sprint("s", code, len(body)))
		serve(t, listen(t, "unix", path), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}))
		return admin.Dial(path)
	}
	stale := filepath.Join(dir, "stale")
	l := listen(t, "unix", stale)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	none := filepath.Join(dir, "none")
	for name, test := range map[string]struct {
		client *admin.Client
		want   string
	}{
		"no socket":    {admin.Dial(none), "asking the broker at " + none + ": there is no such socket: is a broker running, with this admin socket?"},
		"stale socket": {admin.Dial(stale), "asking the broker at " + stale + ": nobody listens there any more: the broker that made the socket has ended (a new one replaces it)"},
		"own text":     {answer(422, " no such thing\n"), "no such thing"},
		"hostile text": {answer(422, "\x1b]0;x\x07no\u009b2J\nsuch"), "?]0;x?no?2J\nsuch"},
		"no text":      {answer(500, ""), "the broker answered 500 Internal Server Error"},
		"giant reply":  {answer(500, strings.Repeat("x", 3<<20)), strings.Repeat("x", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.client.Reload(t.Context()); err == nil || err.Error() != test.want {
				t.Errorf("got %.300v", err)
			}
		})
	}
	if _, err := answer(200, "[]").Status(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "understanding the broker's answer") {
		t.Errorf("got %v", err)
	}
}
