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

	"secretless/internal/testenv"
)

const requestsScript = `
import sys, requests, urllib.request
for url in sys.argv[1:]:
    assert requests.get(url).text == "welcome\n"
    assert urllib.request.urlopen(url).read() == b"welcome\n"
print("done")
`

// Clients that only have what `secretless env` prints, against a target that
// wants a token, over http and in an intercepted tunnel.
func TestHTTPClients(t *testing.T) {
	const token = "sesame-4711-token"
	repositories := t.TempDir()
	backend := &cgi.Handler{
		Path: testenv.Tool(t, "git"), Args: []string{"http-backend"}, Root: "/git",
		Env: []string{"GIT_PROJECT_ROOT=" + repositories, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=somebody", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/git/") {
			backend.ServeHTTP(w, r)
			return
		}
		_, _ = io.WriteString(w, "welcome\n")
	})
	plain, secure := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	defer plain.Close()
	pair := testenv.CA(t).ServerFor(t, "127.0.0.1")
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	secure.TLS, secure.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{cert}}, true
	secure.StartTLS()
	defer secure.Close()
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	r := httpBroker(t, "generic_http", fmt.Sprintf("{ hosts: [%q, %q], headers: { Authorization: 'Bearer {{ .token }}' } }", host(plain), host(secure)),
		"token: { from: env, get: DB_PASSWORD }")
	r.env["DB_PASSWORD"] = token
	r.env["SECRETLESS_HTTP_CA_BUNDLE"] = testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
	r.program("ca", "init")
	r.serve()
	vars := r.clientEnv()
	for _, v := range vars {
		if strings.Contains(v, token) {
			t.Errorf("the client is given %s", v)
		}
	}
	t.Run("git", func(t *testing.T) {
		work := t.TempDir()
		script := `set -e; git init -q --bare "$1/r.git"; git clone -q "$2/git/r.git" "$3/a"; cd "$3/a"
echo hello >f; git add f; git -c user.name=n -c user.email=e@example.com commit -qm one; git push -q origin HEAD:main
git clone -q -b main "$2/git/r.git" "$3/b"; cat "$3/b/f"`
		out, err := testenv.Command(t, append(vars, "GIT_TERMINAL_PROMPT=0"), "/bin/sh", "-c", script, "sh", repositories, secure.URL, work)
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
