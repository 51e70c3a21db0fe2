package httpproxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"secretless/internal/audit"
)

func TestCredentialIsAdded(t *testing.T) {
	plain, secure := newTarget(t, nil), newTLSTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q, %q]", plain.host, secure.host)})
	c := p.client()
	for _, tg := range []*target{plain, secure} {
		status, body := get(t, c, tg.URL+"/x?b=1&a=%2f")
		if status != 200 || body != "hello\n" {
			t.Errorf("%s: %d %q", tg.URL, status, body)
		}
		r := tg.last(t)
		if r.Header.Get("X-Token") != "Token "+sesame || r.URL.RawQuery != "b=1&a=%2f" || r.Host != tg.host {
			t.Errorf("%s: %v %v", r.Host, r.URL, r.Header)
		}
	}
	if secure.last(t).ProtoMajor != 2 {
		t.Error("HTTP/2 was not used")
	}
	if n := len(p.audit.of(audit.Used)); n != 2 {
		t.Errorf("%d uses in the audit", n)
	}
	eventually(t, "two answers in the audit", func() bool { return len(p.audit.of(audit.Answered)) == 2 })
	e := p.audit.of(audit.Answered)[0]
	if e.Status != 200 || e.Detail != "GET "+plain.URL+"/x" || e.ToClient != 6 || e.Service != "a" || e.Connector != "token" {
		t.Errorf("%+v", e)
	}
}

func TestUnmatched(t *testing.T) {
	mine, other := newTarget(t, nil), newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", mine.host)})
	status, body := get(t, p.client(), other.URL+"/secret?q=1")
	if status != 403 || !strings.Contains(body, "no service matches GET "+other.URL+"/secret") || strings.Contains(body, "q=1") {
		t.Errorf("%d %q", status, body)
	}
	if len(other.requests()) != 0 {
		t.Error("it was forwarded")
	}
	p = newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], unmatched: forward", mine.host)})
	if status, body := get(t, p.client(), other.URL+"/x"); status != 200 || body != "hello\n" {
		t.Errorf("%d %q", status, body)
	}
	if h := other.last(t).Header; h.Get("X-Token") != "" || h.Get("User-Agent") == "" {
		t.Errorf("%v", h)
	}
}

// Where a service has the host, it is not the host that has to be added.
func TestUnmatchedButForOneRule(t *testing.T) {
	p := newProxy(t, svc{name: "a", config: "hosts: [a.example], paths: [/v1], methods: [GET, POST]"},
		svc{name: "b", config: `authenticateURLsMatching: ["^http://b\\.example/v1"]`})
	for request, want := range map[string]string{
		"DELETE http://a.example/v1":     `service "a" has its host, and not its method: add that to methods`,
		"GET http://a.example/v2":        `service "a" has its host, and not its path: add that to paths`,
		"GET http://a.example/v1/.%2e/x": `service "a" has its host, and rules about the path, which could be read in two ways here`,
		"GET http://b.example/v2":        `service "b" has its host, and not its path: add that to paths or authenticateURLsMatching`,
		"GET http://c.example/v1":        "add its host to the hosts of a service, or set unmatched: forward",
	} {
		if out := p.raw(request + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.Contains(out, " 403 ") || !strings.Contains(out, want) {
			t.Errorf("%s: %q", request, out)
		}
	}
}

func TestMostSpecificServiceWins(t *testing.T) {
	tg := newTarget(t, nil)
	other := newTarget(t, nil)
	p := newProxy(
		t,
		svc{name: "all", config: `authenticateURLsMatching: 'http://127\.0\.0\.1:', query: true`},
		svc{name: "host", config: fmt.Sprintf("hosts: [%q], query: true", tg.host)},
		svc{name: "path", config: fmt.Sprintf("hosts: [%q], paths: [/v1]", tg.host)},
	)
	for url, header := range map[string]bool{
		tg.URL + "/v1/x": true, tg.URL + "/v1": true, tg.URL + "/v1x": false, tg.URL + "/": false,
		tg.URL + "/%76%31/x": true, tg.URL + "/v1/../v2": false, other.URL + "/v1": false,
	} {
		status, body := get(t, p.client(), url)
		if status != 200 {
			t.Fatalf("%s: %d %q", url, status, body)
		}
		from := tg
		if strings.HasPrefix(url, other.URL) {
			from = other
		}
		r := from.last(t)
		if got := r.Header.Get("X-Token") != ""; got != header || !got != strings.Contains(r.URL.RawQuery, "key=") {
			t.Errorf("%s: %v %v", url, r.URL, r.Header)
		}
	}
	eventually(t, "answers", func() bool { return len(p.audit.of(audit.Answered)) == 7 })
	names := map[string]int{}
	for _, e := range p.audit.of(audit.Answered) {
		names[e.Service]++
	}
	if names["path"] != 3 || names["host"] != 3 || names["all"] != 1 {
		t.Errorf("%v", names)
	}
	if s := p.broker.Status(); len(s) != 1 || s[0].Name != "tcp://127.0.0.1:0" || len(s[0].Members) != 3 {
		t.Errorf("%+v", s)
	}
}

func TestTiesAreRefused(t *testing.T) {
	a := newAssembler(t, nil, io.Discard)
	for name, c := range map[string]struct{ one, two, want string }{
		"hosts":       {"hosts: [a.example, b.example]", "hosts: [c.example, B.example.]", `12:15: services "one" and "two" both match b.example`},
		"expressions": {"authenticateURLsMatching: 'http://a\\.example/'", "authenticateURLsMatching: ['http://a\\.example/']", "both match"},
		"paths":       {"hosts: [a.example], paths: [/v1, /v2]", "hosts: [a.example], paths: [/v2/]", "a.example/v2"},
		"methods":     {"hosts: [a.example], methods: [GET, PUT]", "hosts: [a.example], methods: [PUT]", "a.example"},
		"more path":   {"hosts: [a.example], paths: [/v1]", "hosts: [a.example], paths: [/v1/x]", ""},
		"fewer":       {"hosts: [a.example], methods: [GET]", "hosts: [a.example]", ""},
		"port":        {"hosts: ['a.example:8080']", "hosts: [a.example]", ""},
		"wildcard":    {"hosts: ['*.example']", "hosts: ['*.a.example']", ""},
	} {
		t.Run(name, func(t *testing.T) {
			built, err := tryBuild(a, configText(svc{name: "one", config: c.one}, svc{name: "two", config: c.two}))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `service "one" says so in line 7`)):
				t.Errorf("got %v, want %s", err, c.want)
			}
			if built != nil {
				built.Discard()
			}
		})
	}
}

func TestTieAtRunTime(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(
		t,
		svc{name: "one", config: "authenticateURLsMatching: 'http://127\\.0\\.0\\.1:[0-9]+/a'"},
		svc{name: "two", config: "authenticateURLsMatching: 'http://127\\.0\\.0\\.1:\\d+/'"},
	)
	status, body := get(t, p.client(), tg.URL+"/a")
	if status != 403 || !strings.Contains(body, `services "one" and "two" match this request equally well`) || len(tg.requests()) != 0 {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, p.client(), tg.URL+"/b"); status != 200 {
		t.Errorf("%d", status)
	}
}

func TestSharedAddressesMustAgree(t *testing.T) {
	a := newAssembler(t, nil, io.Discard)
	for key, more := range map[string]string{
		"limits": "limits: { connections: 3 }", "drain": "drain: 3s", "allow": "allow: { users: [root] }", "socket": "socket: { mode: \"0660\" }",
	} {
		_, err := tryBuild(a, configText(svc{name: "one", config: "hosts: [a.example]"}, svc{name: "two", config: "hosts: [b.example]", more: more}))
		if err == nil || !strings.Contains(err.Error(), `13:5: service "two" shares an address with service "one" (line 3), whose `+key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	a := newAssembler(t, nil, io.Discard)
	for config, want := range map[string]string{
		`authenticateURLsMatching: 'https://api\.example\.com'`:                   "https://api.example.com.evil.test/",
		`authenticateURLsMatching: 'https://api.example.com/'`:                    "https://apixexample.com/",
		`authenticateURLsMatching: 'api\.example\.com'`:                           "",
		`authenticateURLsMatching: '.*api\.example\.com'`:                         "evil.test/",
		`authenticateURLsMatching: '.*'`:                                          "every other URL",
		`authenticateURLsMatching: '^http'`:                                       "every other URL",
		`authenticateURLsMatching: 'https?://(api|www)\.example\.com(:\d+)?/v1/'`: "",
		`authenticateURLsMatching: 'https?://(api|www).example\.com/'`:            "://apixexample.com/",
		`authenticateURLsMatching: '^https://[a-z]+\.example\.com/'`:              "",
		`authenticateURLsMatching: '^https://[a-z]+\.s3\.amazonaws\.com/'`:        "s3.amazonaws.com/", // buckets have owners
		`authenticateURLsMatching: '^https://[^/]+\.example\.com/'`:               "",
		`authenticateURLsMatching: '^https://[^/]*example\.com/'`:                 "https://evilexample.com/",
		`hosts: ["*.co.uk"]`:     "domains of different owners",
		`hosts: ["*.github.io"]`: "domains of different owners",
		`hosts: ["*.internal"]`:  "",
		`hosts: [example.com]`:   "",
	} {
		built, err := tryBuild(a, configText(svc{name: "one", config: config}))
		if err != nil {
			t.Errorf("%s: %v", config, err)
			continue
		}
		got := ""
		for _, w := range built.Warnings {
			got += w.Text
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: warned %q, want %q", config, got, want)
		}
		built.Discard()
	}
}

func TestConfigErrors(t *testing.T) {
	a := newAssembler(t, map[string]string{"SECRETLESS_HTTP_CA_BUNDLE": "/nowhere.pem"}, io.Discard)
	for config, want := range map[string]string{
		`forceSSL: true`: "nothing says which requests",
		`paths: [/x], authenticateURLsMatching: x`: "paths narrows hosts",
		`hosts: [a.example], paths: [x]`:           "is no path",
		`hosts: [a.example], paths: [/a/../b]`:     "is no path",
		`hosts: [a.example], methods: [get]`:       "is no HTTP method",
		`hosts: ["http://a.example"]`:              "without scheme and path",
		`hosts: ["a.*.example"]`:                   "stands only at the start",
		`hosts: ["*"]`:                             "stands only at the start",
		`hosts: ["*.127.0.0.1"]`:                   "no subdomains",
		`hosts: ["0x7f.1"]`:                        "IPv4",
		`hosts: [a.example], responseTimeout: -1s`: "negative",
		`hosts: [a.example], unmatched: pass`:      "must be one of refuse, forward",
		`authenticateURLsMatching: '('`:            "authenticateURLsMatching: error parsing regexp",
		`authenticateURLsMatching: 'a)|(b'`:        "authenticateURLsMatching: error parsing regexp",
		`hosts: [a.example]`:                       "SECRETLESS_HTTP_CA_BUNDLE: stat /nowhere.pem",
	} {
		_, err := tryBuild(a, configText(svc{name: "one", config: config}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

func TestClientCannotAddToTheCredential(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(
		t,
		svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)},
		svc{name: "q", config: fmt.Sprintf("hosts: [%q], paths: [/q], query: true", tg.host)},
	)
	out := p.raw("GET " + tg.URL + "/ HTTP/1.1\r\nHost: x\r\nX-Token: mine\r\nx-token: mine\r\nX_Token: mine\r\nX-tOKEN: mine\r\nConnection: close, X-Token\r\nProxy-Authorization: Basic eDp5\r\nKeep-Alive: 5\r\nX-Kept: 1\r\n\r\n")
	if !strings.HasPrefix(out, "HTTP/1.1 200") {
		t.Fatal(out)
	}
	r := tg.last(t)
	if got := r.Header.Values("X-Token"); len(got) != 1 || got[0] != "Token "+sesame {
		t.Errorf("%q", got)
	}
	for _, name := range []string{"X_token", "Proxy-Authorization", "Keep-Alive", "Connection"} {
		if len(r.Header.Values(name)) > 0 {
			t.Errorf("%s: %q", name, r.Header.Values(name))
		}
	}
	if r.Header.Get("X-Kept") != "1" || r.Host != tg.host {
		t.Errorf("%s %v", r.Host, r.Header)
	}
	if status, _ := get(t, p.client(), tg.URL+"/q?a=1&key=mine&KEY=mine&%6bey=mine&b=%20+"); status != 200 {
		t.Fatal(status)
	}
	if got := tg.last(t).URL.RawQuery; got != "a=1&b=%20+&key="+sesame {
		t.Errorf("%q", got)
	}
}

// HTTP/2 has no request line that a blank could end; HTTP/1.1, which the target
// may speak, has.
func TestBlankInAURLOfHTTP2(t *testing.T) {
	tg := newTLSTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, tg.URL, nil)
	r.URL.RawQuery = "a HTTP/1.1"
	if status, _ := do(t, p.client(), r); status != 400 {
		t.Errorf("%d", status)
	}
	if n := len(tg.requests()); n != 0 {
		t.Errorf("the target was asked %d times", n)
	}
}

// What is no header for the service's rules is none as a trailer either: some
// servers make one of both.
func TestOverridesInTrailers(t *testing.T) {
	tg := newTarget(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], methods: [POST]", tg.host)})
	out := p.raw("POST " + tg.URL + "/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-HTTP-Method-Override, X-Kept\r\n\r\n1\r\nx\r\n0\r\nX-HTTP-Method-Override: DELETE\r\nX-Kept: 1\r\n\r\n")
	if !strings.HasPrefix(out, "HTTP/1.1 200") {
		t.Fatal(out)
	}
	trailer := tg.last(t).Trailer
	if _, kept := trailer["X-Kept"]; !kept || len(trailer) != 1 {
		t.Errorf("%v", trailer)
	}
}

// NTLM and Negotiate log a connection in, not a request: nobody else's request
// may come on it.
func TestConnectionLoginsAreNotShared(t *testing.T) {
	both(t, nil, func(t *testing.T, _ *proxy, c *http.Client, tg *target) {
		for _, login := range []string{"NTLM TlRMTVNTUAADAAAA", "negotiate YII=", ""} {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, tg.URL, nil)
			if login != "" {
				r.Header.Set("Authorization", login)
			}
			if status, _ := do(t, c, r); status != 200 {
				t.Fatal(status)
			}
		}
		seen := map[string]bool{}
		all := tg.requests()
		for _, r := range all[len(all)-3:] {
			seen[r.RemoteAddr] = true
		}
		if len(seen) != 3 {
			t.Errorf("connections: %v", seen)
		}
	})
}

func TestRefusedRequests(t *testing.T) {
	tg := newTarget(t, nil)
	_, port, _ := strings.Cut(tg.host, ":")
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	for name, c := range map[string]struct {
		head string // after the method
		want int
	}{
		"origin form":        {"/x HTTP/1.1\r\nHost: " + tg.host, 400},
		"asterisk":           {"* HTTP/1.1\r\nHost: " + tg.host, 400},
		"userinfo":           {"http://u:p@" + tg.host + "/ HTTP/1.1\r\nHost: x", 400},
		"userinfo of host":   {"http://" + tg.host + "@evil.test/ HTTP/1.1\r\nHost: x", 400},
		"fragment":           {"http://" + tg.host + "/#x HTTP/1.1\r\nHost: x", 400},
		"backslash":          {"http://" + tg.host + "\\@evil.test/ HTTP/1.1\r\nHost: x", 400},
		"hexadecimal":        {"http://0x7f000001:" + port + "/ HTTP/1.1\r\nHost: x", 400},
		"octal":              {"http://0177.0.0.1:" + port + "/ HTTP/1.1\r\nHost: x", 400},
		"short":              {"http://127.1:" + port + "/ HTTP/1.1\r\nHost: x", 400},
		"decimal":            {"http://2130706433:" + port + "/ HTTP/1.1\r\nHost: x", 400},
		"mapped IPv6":        {"http://[::ffff:127.0.0.1]:" + port + "/ HTTP/1.1\r\nHost: x", 200},
		"zone":               {"http://[::1%25lo]:" + port + "/ HTTP/1.1\r\nHost: x", 400},
		"other scheme":       {"ftp://" + tg.host + "/ HTTP/1.1\r\nHost: x", 400},
		"other port":         {"http://127.0.0.1/ HTTP/1.1\r\nHost: " + tg.host, 403},
		"other host":         {"http://127.0.0.2:" + port + "/ HTTP/1.1\r\nHost: " + tg.host, 403},
		"two hosts":          {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nHost: y", 400},
		"no host":            {"http://" + tg.host + "/ HTTP/1.1\r\nX: y", 400},
		"two lengths":        {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2", 400},
		"list of lengths":    {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2", 400},
		"negative length":    {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1", 400},
		"unknown coding":     {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked", 501},
		"space before colon": {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nContent-Length : 3", 400},
		"bare CR":            {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nX: a\rX-Token: b", 400},
		"NUL":                {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nX: a\x00b", 400},
		"folded first line":  {"http://" + tg.host + "/ HTTP/1.1\r\n X: a\r\nHost: x", 400},
		"version":            {"http://" + tg.host + "/ HTTP/3.0\r\nHost: x", 505},
		"too many headers":   {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x" + strings.Repeat("\r\nX: y", 300), 431},
		"too large":          {"http://" + tg.host + "/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 70<<10), 431},
	} {
		t.Run(name, func(t *testing.T) {
			out := p.raw("GET " + c.head + "\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(out, fmt.Sprintf("HTTP/1.1 %d ", c.want)) && !strings.HasPrefix(out, fmt.Sprintf("HTTP/1.0 %d ", c.want)) {
				t.Errorf("got %.300q, want %d", out, c.want)
			}
		})
	}
	for _, r := range tg.requests() {
		if r.Host != tg.host && r.Host != "127.0.0.1:"+port {
			t.Errorf("the target was asked for %q", r.Host)
		}
	}
}

// A request whose end two programs could see in different places, or with lines
// that some join, is not passed on at all, nor is what comes behind it.
func TestSmugglingIsRefused(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	behind := "GET " + tg.URL + "/two HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, text := range map[string]string{
		"both framings": "POST " + tg.URL + "/one HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n",
		"folded line":   "GET " + tg.URL + "/one HTTP/1.1\r\nHost: x\r\nX-Fold: a\r\n X-Token: b\r\n\r\n",
		"line feeds":    "GET " + tg.URL + "/one HTTP/1.1\nHost: x\n\n",
		"lengths":       "POST " + tg.URL + "/one HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"blank":         "POST " + tg.URL + "/one HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n",
		"HTTP/1.0":      "POST " + tg.URL + "/one HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		out := p.raw(text + behind)
		if !strings.HasPrefix(out, "HTTP/1.1 400 ") || strings.Count(out, "HTTP/1.1") != 1 || !strings.Contains(out, "secretless: the request is not passed on: ") {
			t.Errorf("%s: %q", name, out)
		}
	}
	if n := len(tg.requests()); n != 0 {
		t.Errorf("the target was asked %d times", n)
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], paths: [/p], panics: true", tg.host)}, svc{name: "b", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	c := p.client()
	if status, body := get(t, c, tg.URL+"/p"); status != 500 || !strings.Contains(body, "internal error") {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, c, tg.URL+"/"); status != 200 {
		t.Error(status)
	}
	if !strings.Contains(p.log.String(), "panic contained") {
		t.Error("not logged")
	}
}

func TestAuditIsRequired(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	p.audit.fail.Store(true)
	status, body := get(t, p.client(), tg.URL)
	if status != 503 || !strings.Contains(body, "audit") || len(tg.requests()) != 0 {
		t.Errorf("%d %q, %d requests", status, body, len(tg.requests()))
	}
}
