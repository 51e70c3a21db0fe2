package resource

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/kubeapi"
	"secretless/internal/testenv"
)

// patienceOfTests is how long a test waits for what should happen at once.
const patienceOfTests = 30 * time.Second

// double is an API server that keeps one resource, and can be made to behave
// badly once.
type double struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	object   map[string]any // nil for none
	version  int
	watches  map[chan string]bool
	bad      func(w http.ResponseWriter, r *http.Request) bool // true if it has answered
	lists    atomic.Int32
	written  atomic.Int32
	conflict atomic.Int32
	end      chan struct{}
}

func newDouble(t *testing.T) *double {
	t.Helper()
	d := &double{t: t, version: 1, watches: map[chan string]bool{}, end: make(chan struct{})}
	d.Server = httptest.NewUnstartedServer(d)
	d.Config.ErrorLog = log.New(io.Discard, "", 0)
	d.StartTLS()
	t.Cleanup(func() {
		close(d.end)
		d.CloseClientConnections()
		d.Close()
	})
	return d
}

// follow starts a watcher that is ended with the test.
func (d *double) follow(reporter string, logs *logs) *Watcher {
	d.t.Helper()
	return d.followAt(pauses{2 * time.Millisecond, 20 * time.Millisecond}, reporter, logs)
}

func (d *double) followAt(p pauses, reporter string, logs *logs) *Watcher {
	d.t.Helper()
	ca := testenv.WriteFile(d.t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw})))
	w := watch(Options{
		Cluster: cluster(testenv.WriteFile(d.t, "config", kubeconfig(d.URL, ca, canary, "s"))),
		Group:   "g.io", Version: "v2", Plural: "things", Name: "n", Reporter: reporter, Log: slog.New(slog.NewTextHandler(logs, nil)),
	}, p)
	d.t.Cleanup(func() {
		w.Close()
		if strings.Contains(logs.String(), canary) {
			d.t.Errorf("the log quotes: %s", logs)
		}
	})
	return w
}

func cluster(path string) kubeapi.Cluster {
	return kubeapi.Cluster{Kubeconfig: path, LookupEnv: func(string) (string, bool) { return "", false }}
}

func kubeconfig(server, ca, token, namespace string) string {
	return fmt.Sprintf(`{clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}], users: [{name: u, user: {token: %s}}],
contexts: [{name: x, context: {cluster: c, user: u, namespace: %s}}], current-context: x}`, server, ca, token, namespace)
}

// set changes the spec; nil deletes the resource.
func (d *double) set(spec any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.version++
	if spec == nil {
		d.object["metadata"].(map[string]any)["resourceVersion"] = fmt.Sprint(d.version)
		d.tell("DELETED")
		d.object = nil
		return
	}
	kind, generation := "MODIFIED", 1
	if d.object == nil {
		kind = "ADDED"
	} else {
		generation = d.object["metadata"].(map[string]any)["generation"].(int) + 1
	}
	var old any
	if d.object != nil {
		old = d.object["status"]
	}
	d.object = map[string]any{"spec": spec, "status": old, "metadata": map[string]any{
		"name": "n", "namespace": "s", "uid": "u", "generation": generation, "resourceVersion": fmt.Sprint(d.version),
	}}
	d.tell(kind)
}

// tell is called with mu held.
func (d *double) tell(kind string) {
	line, err := json.Marshal(map[string]any{"type": kind, "object": d.object})
	if err != nil {
		d.t.Error(err)
	}
	for c := range d.watches {
		c <- string(line)
	}
}

func (d *double) misbehave(how func(http.ResponseWriter, *http.Request) bool) {
	d.mu.Lock()
	d.bad = how
	for c := range d.watches {
		close(c)
		delete(d.watches, c)
	}
	d.mu.Unlock()
}

// recover ends the misbehaviour, and no watch.
func (d *double) recover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bad = nil
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	bad := d.bad
	d.mu.Unlock()
	if bad != nil && bad(w, r) {
		return
	}
	switch {
	case r.URL.Path == "/readyz":
	case r.Method == http.MethodPatch && r.URL.Path == "/apis/g.io/v2/namespaces/s/things/n/status":
		d.patch(w, r)
	case r.URL.Path != "/apis/g.io/v2/namespaces/s/things" || r.URL.Query().Get("fieldSelector") != "metadata.name=n":
		d.t.Errorf("%s %s", r.Method, r.URL)
		http.NotFound(w, r)
	case r.URL.Query().Get("watch") != "":
		d.watch(w, r)
	default:
		d.list(w)
	}
}

func (d *double) list(w http.ResponseWriter) {
	d.lists.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	items := []any{}
	if d.object != nil {
		items = append(items, d.object)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"resourceVersion": fmt.Sprint(d.version)}, "items": items})
}

func (d *double) watch(w http.ResponseWriter, r *http.Request) {
	lines := make(chan string, 1000)
	d.mu.Lock()
	if r.URL.Query().Get("resourceVersion") != fmt.Sprint(d.version) { // it remembers nothing
		d.mu.Unlock()
		w.WriteHeader(http.StatusGone)
		return
	}
	d.watches[lines] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watches, lines)
	}()
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			_, _ = fmt.Fprintln(w, line)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		case <-d.end:
			return
		}
	}
}

func (d *double) patch(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Metadata struct{ ResourceVersion string }
		Status   map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		d.t.Error(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.object == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	meta := d.object["metadata"].(map[string]any)
	if meta["resourceVersion"] != body.Metadata.ResourceVersion {
		d.conflict.Add(1)
		w.WriteHeader(http.StatusConflict)
		return
	}
	d.written.Add(1)
	d.version++
	meta["resourceVersion"], d.object["status"] = fmt.Sprint(d.version), body.Status
	d.tell("MODIFIED")
	_ = json.NewEncoder(w).Encode(d.object)
}

// status is "status generation" of the condition, and who has written it.
func (d *double) status() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, _ := d.object["status"].(map[string]any)
	if s == nil {
		return ""
	}
	c := s["conditions"].([]any)[0].(map[string]any)
	return fmt.Sprintf("%s %v by %s", c["status"], c["observedGeneration"], s["reporter"])
}

// logs is what was logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patienceOfTests); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
