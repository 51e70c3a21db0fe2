//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"secretless/internal/audit"
	"secretless/internal/audit/audittest"
	"secretless/internal/testenv"
)

// auditRounds is how often the broker is killed.
const auditRounds = 6

// witnesses are what targets and clients saw happen, which the audit must have.
type witnesses struct {
	*running
	server *testenv.Server
	web    *httptest.Server
	agent  string // its socket
	table  string
	text   string // the configuration

	mu         sync.Mutex
	paths      []string // of requests that reached the target with a credential
	signatures atomic.Int64
	rows       atomic.Int64 // inserts that clients know of
}

// Whatever a client or a target has seen happen before the broker was killed is
// in the audit, if that is required: sessions of a database, requests and
// signatures.
func TestKilledBrokerLosesNoRequiredEvent(t *testing.T) {
	binary := buildBinary(t)
	w := newWitnesses(t)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for n := range 3 {
		load.Go(func() { w.loop(ctx, w.insert) })
		load.Go(func() { w.loop(ctx, func(ctx context.Context) error { return w.request(ctx, n) }) })
	}
	load.Go(func() { w.loop(ctx, w.sign) })
	for round := range auditRounds {
		broker := w.exec(binary, w.text)
		before := [3]int64{w.rows.Load(), w.requests(), w.signatures.Load()}
		w.eventually("clients of every kind to be served", func() bool {
			return w.rows.Load() > before[0]+3 && w.requests() > before[1]+3 && w.signatures.Load() > before[2]
		})
		time.Sleep(time.Duration(mathrand.IntN(200)) * time.Millisecond)
		_ = broker.Process.Kill()
		_ = broker.Wait()
		if round == 2 {
			w.tear()
		}
	}
	stop()
	load.Wait()
	w.compare(w.lines())
}

func newWitnesses(t *testing.T) *witnesses {
	t.Helper()
	w := &witnesses{running: prepare(t), server: testenv.Postgres(t, testenv.PG{})}
	w.table, w.agent = "seen_"+strconv.Itoa(os.Getpid()), filepath.Join(w.dir, "agent.sock")
	admin := w.server.Connect(t)
	for _, statement := range []string{
		"create table " + w.table + " (remote text)", "grant insert, select on " + w.table + " to public",
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_, _ = w.server.Connect(t).Exec(context.Background(), "drop table "+w.table)
	})
	w.web = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.web.Close)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	w.env["SSH_KEY"] = string(pem.EncodeToMemory(block))
	w.env["API_PASSWORD"] = "not to be found"
	w.text = w.everything()
	return w
}

// everything is a configuration with a service of each kind.
func (w *witnesses) everything() string {
	more := fmt.Sprintf(`services:
  api:
    connector: basic_auth
    listenOn: unix://%s/proxy
    credentials: { username: alice, password: { from: env, get: API_PASSWORD } }
    config: { hosts: [%q] }
  deploy-key:
    connector: ssh-agent
    listenOn: unix://%s
    credentials: { privateKey: { from: env, get: SSH_KEY } }
`, w.dir, strings.TrimPrefix(w.web.URL, "http://"), w.agent)
	text := w.yaml(service{server: w.server, user: w.server.Users.SCRAM})
	text = strings.Replace(text, "services:\n", more, 1)
	at := strings.Index(text, "audit:")
	return text[:at] + fmt.Sprintf("audit: { to: \"file://%s/audit.jsonl\", required: true, maxSize: 512KiB, keep: 100 }\n", w.dir)
}

// loop calls f until ctx ends; most calls fail while the broker is down.
func (w *witnesses) loop(ctx context.Context, f func(context.Context) error) {
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, patience)
		if f(one) != nil {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}
}

// insert has the database itself say which connection reached it.
func (w *witnesses) insert(ctx context.Context) error {
	config, err := pgx.ParseConfig(w.dsn())
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	var mine string
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			mine = conn.LocalAddr().String()
		}
		return conn, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err = conn.Exec(ctx, "insert into "+w.table+" values ($1)", mine); err == nil {
		w.rows.Add(1)
	}
	return err
}

// serve is the target of requests.
func (w *witnesses) serve(rw http.ResponseWriter, r *http.Request) {
	if _, _, ok := r.BasicAuth(); ok {
		w.mu.Lock()
		w.paths = append(w.paths, r.URL.Path)
		w.mu.Unlock()
	}
	_, _ = io.WriteString(rw, "seen")
}

func (w *witnesses) requests() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.paths))
}

func (w *witnesses) request(ctx context.Context, client int) error {
	proxy := &url.URL{Scheme: "http", Host: "proxy.test"}
	transport := unixTransport(filepath.Join(w.dir, "proxy"))
	transport.Proxy, transport.DisableKeepAlives = http.ProxyURL(proxy), false
	defer transport.CloseIdleConnections()
	for {
		path := fmt.Sprintf("/%d/%s", client, rand.Text())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.web.URL+path, nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%d: %w", resp.StatusCode, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (w *witnesses) sign(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", w.agent)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	a := agent.NewClient(conn)
	keys, err := a.List()
	for err == nil {
		if _, err = a.Sign(keys[0], sshsig()); err == nil {
			w.signatures.Add(1)
			time.Sleep(time.Millisecond)
		}
	}
	return err
}

// sshsig is something to be signed, as ssh-keygen -Y sign has it.
func sshsig() []byte {
	return append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Hash, Digest string }{"file", "", "sha512", strings.Repeat("x", 64)})...)
}

// tear is a write that a crash has cut.
func (w *witnesses) tear() {
	w.t.Helper()
	f, err := os.OpenFile(filepath.Join(w.dir, "audit.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"time":"2026-01-01T00:00`); err != nil {
		w.t.Fatal(err)
	}
}

// lines reads all files, oldest first. A line that was cut is the last of its
// run: the next run begins on one of its own.
func (w *witnesses) lines() []audittest.Line {
	w.t.Helper()
	path := filepath.Join(w.dir, "audit.jsonl")
	files := []string{path}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.%d", path, n)
		if _, err := os.Stat(name); err != nil {
			break
		}
		files = append(files, name)
	}
	slices.Reverse(files)
	var whole []byte
	var cut int
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if json.Valid(line) {
				whole = append(whole, line...)
				continue
			}
			cut++
			rest := text[bytes.Index(text, line)+len(line):]
			if next, _, _ := bytes.Cut(rest, []byte("\n")); !bytes.Contains(next, []byte(`"event":"started"`)) && len(next) > 0 {
				w.t.Errorf("behind %q comes %q", line, next)
			}
		}
	}
	if cut < 1 || cut > auditRounds {
		w.t.Errorf("%d lines are cut", cut)
	}
	w.t.Logf("%d files with %d bytes, %d lines cut", len(files), len(whole), cut)
	return audittest.Text(w.t, whole)
}

// compare looks in the audit for everything that was seen.
func (w *witnesses) compare(lines []audittest.Line) {
	w.t.Helper()
	sessions, asked, runs, used := map[string]int{}, map[string]bool{}, 0, 0
	opened := map[string]bool{}
	for _, l := range lines {
		connection := fmt.Sprint(l.Run, " ", l.Connection)
		switch l.Event {
		case audit.Started:
			runs++
		case audit.Opened:
			opened[connection] = true
		case audit.Connected:
			remote, _ := l.All["remote"].(string)
			sessions[remote]++
		case audit.Used:
			if request, ok := l.All["request"].(map[string]any); ok {
				asked[request["path"].(string)] = true
			} else {
				used++
			}
		}
		if l.Connection != 0 && !opened[connection] && l.Event != audit.Refused {
			w.t.Errorf("%s of connection %s, which was not opened", l.Event, connection)
		}
	}
	rows, err := w.server.Connect(w.t).Query(context.Background(), "select remote, count(*) from "+w.table+" group by remote")
	if err != nil {
		w.t.Fatal(err)
	}
	var remote string
	var count, inserted int
	if _, err := pgx.ForEachRow(rows, []any{&remote, &count}, func() error {
		inserted += count
		if sessions[remote] < count {
			w.t.Errorf("%d sessions of %s reached the database, the audit has %d", count, remote, sessions[remote])
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	for _, path := range w.paths {
		if !asked[path] {
			w.t.Errorf("the request for %s reached its target and is not in the audit", path)
		}
	}
	signed := int(w.signatures.Load())
	if used < signed {
		w.t.Errorf("%d signatures, the audit has %d", signed, used)
	}
	if runs != auditRounds || inserted == 0 {
		w.t.Errorf("%d runs, %d rows", runs, inserted)
	}
	w.t.Logf("%d runs, %d lines: %d sessions, %d requests, %d signatures were seen", runs, len(lines), inserted, len(w.paths), signed)
}
