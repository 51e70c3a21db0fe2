//go:build linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Requests of HTTP/2 that no library would make, in a tunnel to the victim.
func TestAttackHTTP2(t *testing.T) {
	a := newArena(t, "forward")
	good := func(more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "victim.test:{S}"}, more...)
	}
	for _, c := range []struct {
		name   string
		fields []string
		status string // empty: the stream or the connection is reset
		victim int
	}{
		{"a good one", good(), "200", 1},
		{"the attacker's authority", []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "attacker.test:{S}"}, "421", 0},
		{"another service's authority", []string{":method", "GET", ":scheme", "https", ":path", "/v1", ":authority", "scoped.test:{S}"}, "421", 0},
		{"the attacker as host", good("host", "attacker.test:{S}"), "421", 0},
		{"the victim as host of the attacker", []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "attacker.test:{S}", "host", "victim.test:{S}"}, "421", 0},
		{"host alone", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "victim.test:{S}"}, "200", 1},
		{"the attacker as host alone", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "attacker.test:{S}"}, "421", 0},
		{"no authority", []string{":method", "GET", ":scheme", "https", ":path", "/"}, "400", 0},
		{"authority with a user", []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "x@victim.test:{S}"}, "", 0},
		{"two hosts", good("host", "victim.test:{S}", "host", "attacker.test"), "421", 0},
		{"two authorities", good(":authority", "attacker.test:{S}"), "", 0},
		{"two paths", good(":path", "/admin"), "", 0},
		{"two methods", good(":method", "POST"), "", 0},
		{"no path", []string{":method", "GET", ":scheme", "https", ":authority", "victim.test:{S}"}, "", 0},
		{"empty path", []string{":method", "GET", ":scheme", "https", ":path", "", ":authority", "victim.test:{S}"}, "", 0},
		{"path that is a URL", []string{":method", "GET", ":scheme", "https", ":path", "https://attacker.test:{S}/", ":authority", "victim.test:{S}"}, "*", 0},
		{"path that is opaque", []string{":method", "GET", ":scheme", "https", ":path", "https:http://attacker.test/", ":authority", "victim.test:{S}"}, "*", 0},
		{"path without a slash", []string{":method", "GET", ":scheme", "https", ":path", "attacker.test", ":authority", "victim.test:{S}"}, "*", 0},
		{"path that is a user", []string{":method", "GET", ":scheme", "https", ":path", "@attacker.test/", ":authority", "victim.test:{S}"}, "*", 0},
		{"path with a line break", []string{":method", "GET", ":scheme", "https", ":path", "/ HTTP/1.1\r\nHost: attacker.test\r\n\r\n", ":authority", "victim.test:{S}"}, "*", 0},
		{"path with a blank", []string{":method", "GET", ":scheme", "https", ":path", "/ HTTP/1.1", ":authority", "victim.test:{S}"}, "*", -1},
		{"path of an asterisk", []string{":method", "OPTIONS", ":scheme", "https", ":path", "*", ":authority", "victim.test:{S}"}, "400", 0},
		{"method with a line break", []string{":method", "GET / HTTP/1.1\r\nX: y", ":scheme", "https", ":path", "/", ":authority", "victim.test:{S}"}, "*", 0},
		{"method with a blank", []string{":method", "GET http://attacker.test/", ":scheme", "https", ":path", "/", ":authority", "victim.test:{S}"}, "*", 0},
		{"scheme http", []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "victim.test:{S}"}, "*", -1},
		{"scheme ftp", []string{":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "victim.test:{S}"}, "*", -1},
		{"pseudo header behind others", []string{":method", "GET", ":scheme", "https", ":path", "/", "x", "y", ":authority", "victim.test:{S}"}, "", 0},
		{"unknown pseudo header", good(":protocol", "websocket"), "*", 0},
		{"status in a request", good(":status", "200"), "", 0},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "attacker.test:{S}"}, "405", 0},
		{"CONNECT with a protocol", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/", ":authority", "victim.test:{S}"}, "*", 0},
		{"TRACE", []string{":method", "TRACE", ":scheme", "https", ":path", "/", ":authority", "victim.test:{S}"}, "405", 0},
		{"upper case name", good("Authorization", "mine"), "", 0},
		{"name with a line break", good("x\r\nauthorization", "mine"), "", 0},
		{"value with a line break", good("x", "y\r\nauthorization: mine"), "", 0},
		{"name with a colon", good("x:authorization", "mine"), "", 0},
		{"own credential", good("authorization", "mine", "authorization", "mine"), "200", 1},
		{"underscore twin of framing", good("content_length", "5", "transfer_encoding", "chunked"), "200", 1},
		{"Connection", good("connection", "authorization"), "*", -1},
		{"Transfer-Encoding", good("transfer-encoding", "chunked"), "*", -1},
		{"Upgrade", good("upgrade", "websocket"), "*", -1},
		{"TE", good("te", "gzip"), "*", -1},
		{"length that is wrong", good("content-length", "5"), "*", -1},
		{"two lengths", good("content-length", "0", "content-length", "7"), "*", -1},
		{"hop-by-hop of a proxy", good("proxy-authorization", "mine", "proxy-connection", "x"), "*", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner, answer := a.tunnel(t, a.ports.Replace(opening("victim.test:{S}")), victimName, "h2")
			if inner == nil {
				t.Fatalf("%q", answer)
			}
			status, got := a.stream(t, inner, c.fields)
			_ = inner.Close()
			victim, attacker := a.verify(t, got)
			if c.status != "*" && status != c.status || len(attacker) > 0 {
				t.Errorf("status %q, want %q; the attacker got %d requests; %q", status, c.status, len(attacker), got)
			}
			if c.victim >= 0 && len(victim) != c.victim {
				t.Errorf("the victim got %d requests, want %d", len(victim), c.victim)
			}
		})
	}
}

// stream sends one request and returns its status, empty if there is none, and
// everything that came.
func (a *arena) stream(t *testing.T, conn *tls.Conn, fields []string) (status string, got []byte) {
	t.Helper()
	var seen bytes.Buffer
	_, _ = io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, io.TeeReader(conn, &seen))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: a.ports.Replace(fields[i+1])})
	}
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for {
		frame, err := framer.ReadFrame()
		var bad http2.StreamError
		switch {
		case errors.As(err, &bad):
			return status, seen.Bytes()
		case err != nil:
			return status, seen.Bytes()
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				seen.WriteString(field.Name + ": " + field.Value + "\n")
			}
			if s := f.PseudoValue("status"); s != "" {
				status = s
			}
			if f.StreamEnded() {
				return status, seen.Bytes()
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return status, seen.Bytes()
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return status, seen.Bytes()
		}
	}
}
