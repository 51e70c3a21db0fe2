//go:build linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"secretless/internal/testenv"
)

const requestsScript = `
import sys, requests, urllib.request
for url in sys.argv[1:]:
    assert requests.get(url).text == "welcome\n"
    assert urllib.request.urlopen(url).read() == b"welcome\n"
print("done")
`

const undiciScript = `
const { EnvHttpProxyAgent, fetch } = require("undici")
const dispatcher = new EnvHttpProxyAgent()
Promise.all(process.argv.slice(1).map(async url => {
  const answer = await fetch(url, { dispatcher })
  console.log(answer.status, (await answer.text()).trim())
})).then(() => dispatcher.close())
`

// Of the client's environment, node's own https module is given the proxy by an
// agent, as programs do.
const nodeHTTPSScript = `
const { HttpsProxyAgent } = require("https-proxy-agent")
const agent = new HttpsProxyAgent(process.env.https_proxy)
require("https").get(process.argv[1], { agent }, answer => {
  answer.setEncoding("utf8")
  answer.on("data", text => console.log(answer.statusCode, text.trim()))
})
`

const wsScript = `
const { HttpsProxyAgent } = require("https-proxy-agent")
const { WebSocket } = require("ws")
for (const url of process.argv.slice(1)) {
  const socket = new WebSocket(url, { agent: new HttpsProxyAgent(process.env.https_proxy) })
  socket.on("open", () => socket.send("hello"))
  socket.on("message", text => { console.log(String(text)); socket.close() })
}
`

// tokenTarget serves everything over http and https to those who have a token.
type tokenTarget struct {
	plain, secure *httptest.Server
	repositories  string        // of /git/
	next          chan struct{} // lets /events send another one
}

const targetToken = "sesame-4711-token"

func newTokenTarget(t *testing.T) *tokenTarget {
	t.Helper()
	tg := &tokenTarget{repositories: t.TempDir(), next: make(chan struct{})}
	calls := grpc.NewServer()
	healthpb.RegisterHealthServer(calls, health.NewServer())
	t.Cleanup(calls.Stop)
	mux := http.NewServeMux()
	mux.Handle("/git/", &cgi.Handler{
		Path: testenv.Tool(t, "git"), Args: []string{"http-backend"}, Root: "/git",
		Env: []string{"GIT_PROJECT_ROOT=" + tg.repositories, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=somebody", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	mux.Handle("/grpc.health.v1.Health/", calls)
	mux.HandleFunc("/events", tg.events)
	mux.HandleFunc("/socket", echoSocket)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "welcome\n") })
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+targetToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
	tg.plain, tg.secure = httptest.NewServer(h), httptest.NewUnstartedServer(h)
	t.Cleanup(tg.plain.Close)
	pair := testenv.CA(t).ServerFor(t, "127.0.0.1", "localhost")
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	tg.secure.TLS, tg.secure.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{cert}}, true
	tg.secure.StartTLS()
	t.Cleanup(tg.secure.Close)
	return tg
}

// events are three, the next one only when the client has the one before it.
func (tg *tokenTarget) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 3 {
		fmt.Fprintf(w, "data: %d\n\n", i)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tg.next:
		case <-r.Context().Done():
			return
		}
	}
}

func echoSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, text, err := c.Read(r.Context())
		if err != nil {
			return
		}
		_ = c.Write(r.Context(), kind, text)
	}
}

// named is the secure URL with a name: of an IP address in a tunnel, node's
// https module compares the certificate with "localhost".
func (tg *tokenTarget) named() string {
	return strings.Replace(tg.secure.URL, "127.0.0.1", "localhost", 1)
}

// broker runs the program in front of the target and returns what it tells
// clients to set.
func (tg *tokenTarget) broker(t *testing.T) (*running, []string) {
	t.Helper()
	r := httpBroker(t, "generic_http",
		fmt.Sprintf("{ hosts: [%q, %q, %q], headers: { Authorization: 'Bearer {{ .token }}' } }", tg.plain.Listener.Addr(), tg.secure.Listener.Addr(), strings.TrimPrefix(tg.named(), "https://")),
		"token: { from: env, get: DB_PASSWORD }")
	r.env["DB_PASSWORD"] = targetToken
	r.env["SECRETLESS_HTTP_CA_BUNDLE"] = testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
	r.program("ca", "init")
	r.serve()
	vars := r.clientEnv()
	for _, v := range vars {
		if strings.Contains(v, targetToken) {
			t.Errorf("the client is given %s", v)
		}
	}
	return r, vars
}

// Programs that only have what `secretless env` prints, against a target that
// wants a token, over http and in an intercepted tunnel.
func TestHTTPClients(t *testing.T) {
	tg := newTokenTarget(t)
	_, vars := tg.broker(t)
	plain, secure := tg.plain, tg.secure
	node, modules := testenv.NodeModule(t, "undici")
	vars = append(vars, "NODE_PATH="+modules, "NODE_NO_WARNINGS=1")
	sockets := []string{"-e", wsScript, "ws" + strings.TrimPrefix(plain.URL, "http") + "/socket", "wss" + strings.TrimPrefix(tg.named(), "https") + "/socket"}
	t.Run("git", func(t *testing.T) {
		work := t.TempDir()
		script := `set -e; git init -q --bare "$1/r.git"; git clone -q "$2/git/r.git" "$3/a"; cd "$3/a"
echo hello >f; git add f; git -c user.name=n -c user.email=e@example.com commit -qm one; git push -q origin HEAD:main
git clone -q -b main "$2/git/r.git" "$3/b"; cat "$3/b/f"`
		out, err := testenv.Command(t, append(vars, "GIT_TERMINAL_PROMPT=0"), "/bin/sh", "-c", script, "sh", tg.repositories, secure.URL, work)
		if err != nil || !strings.HasSuffix(out, "hello\n") {
			t.Errorf("%v: %s", err, out)
		}
	})
	for name, command := range map[string]struct {
		program, want string
		args          []string
	}{
		"curl":       {testenv.Tool(t, "curl"), "welcome\nwelcome\n", []string{"-sSf", plain.URL, secure.URL}},
		"curl-http1": {testenv.Tool(t, "curl"), "welcome\n1.1", []string{"-sSf", "--http1.1", "-w", "%{http_version}", secure.URL}},
		"curl-http2": {testenv.Tool(t, "curl"), "welcome\n2", []string{"-sSf", "--http2", "-w", "%{http_version}", secure.URL}},
		"python":     {testenv.PythonModule(t, "requests"), "done\n", []string{"-c", requestsScript, plain.URL, secure.URL}},
		"undici":     {node, "200 welcome\n200 welcome\n", []string{"-e", undiciScript, plain.URL, secure.URL}},
		"node-https": {node, "200 welcome\n", []string{"-e", nodeHTTPSScript, tg.named()}},
		"node-ws":    {node, "hello\nhello\n", sockets},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := testenv.Command(t, vars, command.program, command.args...); err != nil || out != command.want {
				t.Errorf("%v: %q", err, out)
			}
			if out, err := testenv.Command(t, nil, testenv.Tool(t, "curl"), "-sSk", "-o", "/dev/null", "-w", "%{http_code}", secure.URL); err != nil || out != "401" {
				t.Errorf("without the broker: %v %s", err, out)
			}
		})
	}
}
