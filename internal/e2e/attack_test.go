//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/testenv"
)

// arena is the program in front of a victim, whose credentials everybody in it
// is after: clients that attack, and an attacker's target that waits.
type arena struct {
	*running
	names            *names
	victim, attacker *attackTarget
	// canaries are the credentials. Only the victim may see them, each where
	// its service says.
	token, key, password string
	roots                *x509.CertPool // with the broker's authority
	ports                *strings.Replacer
}

// The names of the arena, beside 127.0.0.1, which is the victim, and 127.0.0.2,
// the attacker. Every other name is the attacker's.
const (
	victimName = "victim.test" // generic_http: Authorization: Bearer, on every path
	scopedName = "scoped.test" // generic_http: X-Api-Key and ?key=, GET and POST below /v1 only
	basicName  = "basic.test"  // basic_auth
	lostName   = "lost.test"   // a service's, but its name server is the attacker's
)

func newArena(t *testing.T, unmatched string) *arena {
	t.Helper()
	a := &arena{
		running: prepare(t), names: serveNames(t, "127.0.0.2"),
		// Of characters that programs write in different ways.
		token: "open/sesame+" + rand.Text() + "&=<x>", key: "key." + rand.Text(), password: "pass word/" + rand.Text(),
	}
	for _, n := range []string{victimName, scopedName, basicName} {
		a.names.set(n, "127.0.0.1")
	}
	a.startTargets()
	a.env["XDG_STATE_HOME"] = filepath.Join(a.dir, "state")
	a.env["SECRETLESS_HTTP_CA_BUNDLE"] = testenv.WriteFile(t, "ca.pem", testenv.CA(t).CAPEM)
	a.env["TOKEN"], a.env["KEY"], a.env["DB_PASSWORD"] = a.token, a.key, a.password
	yaml := a.ports.Replace(attackConfig)
	yaml = strings.NewReplacer("{listen}", fmt.Sprint(a.port), "{unmatched}", unmatched, "{dir}", a.dir).Replace(yaml)
	a.write(yaml)
	a.program("ca", "init")
	a.roots = x509.NewCertPool()
	if !a.roots.AppendCertsFromPEM([]byte(a.program("ca", "export"))) {
		t.Fatal("no certificate")
	}
	a.run(yaml)
	return a
}

const attackConfig = `version: "2"
services:
  api:
    connector: generic_http
    listenOn: tcp://127.0.0.1:{listen}
    credentials: { token: { from: env, get: TOKEN } }
    config:
      hosts: ["victim.test:{P}", "victim.test:{S}", "127.0.0.1:{P}", "127.0.0.1:{S}"]
      allowPlaintext: true
      unmatched: {unmatched}
      headers: { Authorization: "Bearer {{ .token }}" }
  scoped:
    connector: generic_http
    listenOn: tcp://127.0.0.1:{listen}
    credentials: { key: { from: env, get: KEY } }
    config:
      hosts: ["scoped.test:{P}", "scoped.test:{S}"]
      paths: [/v1]
      methods: [GET, POST]
      allowPlaintext: true
      headers: { X-Api-Key: "{{ .key }}" }
      queryParams: { key: "{{ .key }}" }
  basic:
    connector: basic_auth
    listenOn: tcp://127.0.0.1:{listen}
    credentials: { username: alice, password: { from: env, get: DB_PASSWORD } }
    config: { hosts: ["basic.test:{P}", "basic.test:{S}"], allowPlaintext: true }
  lost:
    connector: generic_http
    listenOn: tcp://127.0.0.1:{listen}
    credentials: { token: { from: env, get: TOKEN } }
    config:
      hosts: ["lost.test:{P}", "lost.test:{S}"]
      forceSSL: true
      headers: { Authorization: "Bearer {{ .token }}" }
admin: { health: off }
audit: { to: "file://{dir}/audit.jsonl" }
`

// startTargets makes the victim's targets, {P} plain and {S} with TLS; the
// attacker's have the same ports at 127.0.0.2, and {A} at the victim's address.
func (a *arena) startTargets() {
	t := a.t
	t.Helper()
	a.victim = newAttackTarget(t, a.serveVictim)
	a.attacker = newAttackTarget(t, a.serveAttacker)
	pki := testenv.CA(t)
	mine := pki.ServerFor(t, victimName, scopedName, basicName, "127.0.0.1")
	theirs := pki.ServerFor(t, "attacker.test", "*.attacker.test", "127.0.0.2")
	var plain, secure string
	for range 50 { // until both addresses have the same ports
		plain = a.victim.listen("127.0.0.1:0", nil)
		secure = a.victim.listen("127.0.0.1:0", &mine)
		if a.attacker.listen("127.0.0.2:"+plain, nil) != "" && a.attacker.listen("127.0.0.2:"+secure, &theirs) != "" {
			break
		}
	}
	other := a.attacker.listen("127.0.0.1:0", nil)
	a.ports = strings.NewReplacer("{P}", plain, "{S}", secure, "{A}", other)
}

// attackTarget is an HTTP server on several addresses that keeps every byte that
// it was sent, inside of TLS.
type attackTarget struct {
	t      *testing.T
	server *http.Server
	mu     sync.Mutex
	got    bytes.Buffer
	seen   []*http.Request
}

func newAttackTarget(t *testing.T, h http.HandlerFunc) *attackTarget {
	tg := &attackTarget{t: t}
	tg.server = &http.Server{
		ReadHeaderTimeout: patience, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
			r.Body = io.NopCloser(bytes.NewReader(body))
			tg.mu.Lock()
			tg.seen = append(tg.seen, r)
			tg.mu.Unlock()
			h(w, r)
		}),
	}
	t.Cleanup(func() { _ = tg.server.Close() })
	return tg
}

// listen returns the port, empty if it is taken.
func (tg *attackTarget) listen(address string, pair *testenv.KeyPair) string {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return ""
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	kept := &keeping{Listener: ln, target: tg}
	if pair != nil {
		cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
		if err != nil {
			tg.t.Fatal(err)
		}
		kept.config = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tg.server.Serve(kept)
	}()
	tg.t.Cleanup(func() {
		_ = tg.server.Close()
		<-ended
	})
	return port
}

// take returns what came since the last time.
func (tg *attackTarget) take() (raw []byte, requests []*http.Request) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	raw, requests = bytes.Clone(tg.got.Bytes()), tg.seen
	tg.got.Reset()
	tg.seen = nil
	return raw, requests
}

type keeping struct {
	net.Listener
	config *tls.Config
	target *attackTarget
}

func (k *keeping) Accept() (net.Conn, error) {
	conn, err := k.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if k.config != nil {
		conn = tls.Server(conn, k.config)
	}
	return &keptConn{conn, k.target}, nil
}

type keptConn struct {
	net.Conn
	target *attackTarget
}

func (k *keptConn) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	k.target.mu.Lock()
	defer k.target.mu.Unlock()
	k.target.got.Write(b[:n])
	return n, err
}

const pieceLength = 12

// waysToWrite are what a canary may look like.
func waysToWrite(canary string) []string {
	all := []string{
		canary, url.QueryEscape(canary), url.PathEscape(canary), html.EscapeString(canary), strings.ReplaceAll(canary, "/", `\/`),
		hex.EncodeToString([]byte(canary)), strings.ToUpper(hex.EncodeToString([]byte(canary))), strings.ToLower(canary), strings.ToUpper(canary),
	}
	// Base64 of a longer text looks different at each of three offsets.
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), canary...))
		text = text[4 : len(text)-4]
		all = append(all, text, strings.NewReplacer("+", "-", "/", "_").Replace(text))
	}
	// A piece of it is enough.
	for i := range len(canary) - pieceLength {
		all = append(all, canary[i:i+pieceLength])
	}
	return all
}

// leaks says which canaries are in text, also where it is gzip.
func (a *arena) leaks(text []byte) (found []string) {
	if i := bytes.Index(text, []byte("\x1f\x8b\x08")); i >= 0 {
		if z, err := gzip.NewReader(bytes.NewReader(text[i:])); err == nil {
			more, _ := io.ReadAll(z)
			text = append(bytes.Clone(text), more...)
		}
	}
	for name, canary := range map[string]string{"token": a.token, "key": a.key, "password": a.password} {
		for _, s := range waysToWrite(canary) {
			if bytes.Contains(text, []byte(s)) {
				found = append(found, fmt.Sprintf("the %s as %q", name, s))
				break
			}
		}
	}
	return found
}

// verify is the assertion of every case: nobody has seen a canary who must not,
// and the broker serves the next one. got is what the client was sent.
func (a *arena) verify(t *testing.T, got []byte) (atVictim, atAttacker []*http.Request) {
	t.Helper()
	raw, atAttacker := a.attacker.take()
	_, atVictim = a.victim.take()
	for who, text := range map[string][]byte{"the attacker's target": raw, "the client": got} {
		if found := a.leaks(text); len(found) > 0 {
			t.Errorf("LEAK: %s saw %v in %.2000q", who, found, text)
		}
	}
	for _, r := range atVictim {
		a.checkVictim(t, r)
	}
	a.healthy(t)
	return atVictim, atAttacker
}

// healthy asks in the usual way on a new connection.
func (a *arena) healthy(t *testing.T) {
	t.Helper()
	out := a.talk(t, a.dial(t), a.ports.Replace("GET http://victim.test:{P}/healthy HTTP/1.1\r\nHost: victim.test:{P}\r\nConnection: close\r\n\r\n"))
	_, seen := a.victim.take()
	served := 0
	for _, r := range seen {
		if r.URL.Path == "/healthy" && r.Header.Get("Authorization") == "Bearer "+a.token {
			served++
			continue
		}
		a.checkVictim(t, r) // of a request that was broken off
	}
	if !bytes.HasPrefix(out, []byte("HTTP/1.1 200 ")) || served != 1 {
		t.Errorf("the broker does not serve any more: %q, the victim saw %d requests", out, len(seen))
	}
}

// checkVictim holds a request that the victim got to the rules of its service,
// in the least favourable reading of it.
func (a *arena) checkVictim(t *testing.T, r *http.Request) {
	t.Helper()
	var wire bytes.Buffer
	_ = r.Write(&wire)
	text := append(wire.Bytes(), r.RequestURI...)
	host, _, _ := net.SplitHostPort(r.Host)
	for _, leak := range a.leaks(text) {
		name := strings.Fields(leak)[1]
		ok := false
		switch name {
		case "token":
			ok = host == victimName || host == "127.0.0.1"
		case "password":
			ok = host == basicName
		case "key":
			ok = host == scopedName && below(r.URL.EscapedPath(), "/v1") && (r.Method == "GET" || r.Method == "POST") && !overrides(r.Header)
		}
		if !ok || !strings.HasPrefix(r.RequestURI, "/") {
			t.Errorf("LEAK: the victim got %s with %s %s for the host %s, header %v", leak, r.Method, r.RequestURI, r.Host, r.Header)
		}
	}
	if r.URL.Path == "/smuggled" {
		t.Errorf("a request arrived that the broker has not made: %s for %s", r.RequestURI, r.Host)
	}
	for name, values := range r.Header {
		fold := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		switch fold {
		case "authorization", "x-api-key":
			if len(a.leaks(text)) > 0 && (len(values) != 1 || strings.Contains(name, "_") || strings.Contains(values[0], "mine")) {
				t.Errorf("beside the credential there is %s: %q", name, values)
			}
		case "content-length", "transfer-encoding":
			if strings.Contains(name, "_") {
				t.Errorf("a twin of a framing header arrived: %s", name)
			}
		case "proxy-authorization", "proxy-connection", "keep-alive":
			t.Errorf("%s arrived", name)
		}
	}
	for name := range r.Trailer {
		if name == "Authorization" || name == "X-Api-Key" {
			t.Errorf("the trailer %s arrived", name)
		}
	}
	if q := r.URL.Query(); len(q["key"]) > 1 || strings.Contains(r.URL.RawQuery, "mine") {
		t.Errorf("beside the credential there is another in the query %s", r.URL.RawQuery)
	}
}

// below reads a path as the most careless server would and says whether it
// still is below prefix.
func below(path, prefix string) bool {
	for range 4 {
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
	}
	path = strings.NewReplacer(`\`, "/", "\xc0\xae", ".", "\xc0\xaf", "/", "\x00", "", "\t", "", "\r", "", "\n", "").Replace(path)
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		part, _, _ = strings.Cut(part, ";")
		switch strings.TrimSpace(part) {
		case "", ".":
		case "..":
			parts = parts[:max(len(parts)-1, 0)]
		default:
			parts = append(parts, part)
		}
	}
	clean := "/" + strings.Join(parts, "/")
	return clean == prefix || strings.HasPrefix(clean, prefix+"/")
}

func overrides(h http.Header) bool {
	for _, name := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

func (a *arena) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", a.port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// talk sends text and returns everything that is sent back until the end.
func (a *arena) talk(t *testing.T, conn net.Conn, text string) []byte {
	t.Helper()
	_, _ = io.WriteString(conn, text)
	out, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the broker does not end the connection; so far it said %q", out)
	}
	return out
}

// tunnel opens a tunnel by head, the request for it, and TLS inside of it.
func (a *arena) tunnel(t *testing.T, head, sni string, protocols ...string) (*tls.Conn, []byte) {
	t.Helper()
	conn, answer := a.open(t, head)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		return nil, answer
	}
	inner := tls.Client(conn, &tls.Config{ServerName: sni, InsecureSkipVerify: true, NextProtos: protocols})
	if err := inner.HandshakeContext(t.Context()); err != nil {
		return nil, []byte(err.Error())
	}
	return inner, answer
}

// open sends head and returns the answer's head, or all of it if that is not 200.
func (a *arena) open(t *testing.T, head string) (net.Conn, []byte) {
	t.Helper()
	conn := a.dial(t)
	_, _ = io.WriteString(conn, head)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return conn, []byte(err.Error())
	}
	var answer bytes.Buffer
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		answer.Write(body)
	}
	return conn, append([]byte("HTTP/1.1 "+response.Status+"\r\n"), answer.Bytes()...)
}
