//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// opening is the CONNECT for authority.
func opening(authority string, lines ...string) string {
	text := "CONNECT " + authority + " HTTP/1.1\r\n"
	for _, line := range append(lines, "Host: "+authority) {
		text += line + "\r\n"
	}
	return text + "\r\n"
}

func TestAttackTunnel(t *testing.T) {
	victim := opening("victim.test:{S}")
	in := func(path, host string, lines ...string) string {
		return head("GET "+path+" HTTP/1.1", append([]string{"Host: " + host}, lines...)...)
	}
	attacks(t, []attack{
		{name: "host names the attacker", head: victim, sni: victimName, send: in("/", "attacker.test:{S}"), want: 421},
		{name: "host without the port", head: victim, sni: victimName, send: in("/", "victim.test"), want: 421},
		{name: "host with another port", head: victim, sni: victimName, send: in("/", "victim.test:{P}"), want: 421},
		{name: "another service's host", head: victim, sni: victimName, send: in("/v1", "scoped.test:{S}"), want: 421},
		{name: "host with a user", head: victim, sni: victimName, send: in("/", "x@victim.test:{S}"), want: 400},
		{name: "host with a path", head: victim, sni: victimName, send: in("/", "victim.test:{S}/x"), want: 400},
		{name: "empty host", head: victim, sni: victimName, send: in("/", ""), want: 400},
		{name: "no host", head: victim, sni: victimName, send: head("GET / HTTP/1.1"), want: 400},
		{name: "two hosts", head: victim, sni: victimName, send: in("/", "victim.test:{S}", "Host: attacker.test"), want: 400},
		{name: "upper case and a dot", head: victim, sni: victimName, send: in("/", "VICTIM.test.:{S}"), want: 200, victim: 1},
		{name: "absolute URL of the attacker", head: victim, sni: victimName, send: in("https://attacker.test:{S}/", "victim.test:{S}"), want: 421},
		{name: "absolute URL of the victim for another host", head: victim, sni: victimName, send: in("https://victim.test:{S}/", "attacker.test:{S}"), want: 200, victim: 1},
		{name: "absolute URL with another scheme", head: victim, sni: victimName, send: in("http://victim.test:{S}/", "victim.test:{S}"), want: 421},
		{name: "absolute URL with a user", head: victim, sni: victimName, send: in("https://x@victim.test:{S}/", "victim.test:{S}"), want: 400},
		{name: "opaque URL", head: victim, sni: victimName, send: in("https:victim", "victim.test:{S}"), want: 400},
		{name: "opaque URL around the attacker's", head: victim, sni: victimName, send: in("https:http://attacker.test:{S}/", "victim.test:{S}"), want: 400},
		{name: "opaque URL around another host's", head: victim, sni: victimName, send: in("x:http://scoped.test:{S}/admin", "victim.test:{S}"), want: 400},
		{name: "path that begins as an authority", head: victim, sni: victimName, send: in("//attacker.test:{S}/", "victim.test:{S}"), want: 200, victim: 1},
		{name: "path without a slash", head: victim, sni: victimName, send: in("attacker.test", "victim.test:{S}"), want: 400},
		{name: "path that is a user", head: victim, sni: victimName, send: in("@attacker.test/", "victim.test:{S}"), want: 400},
		{name: "asterisk", head: victim, sni: victimName, send: head("OPTIONS * HTTP/1.1", "Host: victim.test:{S}"), want: 400},
		{name: "tunnel in the tunnel", head: victim, sni: victimName, send: opening("attacker.test:{S}", "Connection: close"), want: 405},
		{name: "tunnel in the tunnel to the victim", head: victim, sni: victimName, send: opening("victim.test:{S}", "Connection: close"), want: 405},
		{name: "second request for another host", head: victim, sni: victimName, send: "GET /1 HTTP/1.1\r\nHost: victim.test:{S}\r\n\r\n" + in("/2", "attacker.test:{S}"), want: 200, victim: 1},
		{name: "TRACE", head: victim, sni: victimName, send: head("TRACE / HTTP/1.1", "Host: victim.test:{S}"), want: 405},
		{name: "CL.TE", head: victim, sni: victimName, send: head("POST / HTTP/1.1", "Host: victim.test:{S}", "Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: victim.test:{S}\r\n\r\n", want: 400},
		{name: "path of another", head: opening("scoped.test:{S}"), sni: scopedName, send: in("/v1/../admin", "scoped.test:{S}"), want: 200, victim: 1},
		{name: "path of another, opaque", head: opening("scoped.test:{S}"), sni: scopedName, send: in("https:/v1/../admin", "scoped.test:{S}"), victim: -1},

		{name: "SNI names the attacker", head: victim, sni: "attacker.test", send: in("/", "victim.test:{S}"), want: 421},
		{name: "SNI and host name the attacker", head: victim, sni: "attacker.test", send: in("/", "attacker.test:{S}"), want: 421},
		{name: "SNI names another service's host", head: victim, sni: scopedName, send: in("/v1", "scoped.test:{S}"), want: 421},
		{name: "SNI in upper case", head: victim, sni: "VICTIM.TEST", send: in("/", "victim.test:{S}"), want: 200, victim: 1},
		{name: "no SNI", head: victim, sni: "", send: in("/", "victim.test:{S}"), want: 200, victim: 1},
		{name: "SNI names the victim in the attacker's tunnel", head: opening("attacker.test:{S}"), sni: victimName, send: in("/", "victim.test:{S}"), want: 200},
		{name: "address in the CONNECT, name inside", head: opening("127.0.0.1:{S}"), sni: victimName, send: in("/", "victim.test:{S}"), want: 421},
		{name: "address of the attacker, name inside", head: opening("127.0.0.2:{S}"), sni: victimName, send: in("/", "victim.test:{S}"), want: 200},

		{name: "CONNECT with the victim as host", head: "CONNECT attacker.test:{S} HTTP/1.1\r\nHost: victim.test:{S}\r\n\r\n", sni: victimName, send: in("/", "victim.test:{S}"), want: 200},
		{name: "CONNECT with the attacker as host", head: "CONNECT victim.test:{S} HTTP/1.1\r\nHost: attacker.test:{S}\r\n\r\n", sni: victimName, send: in("/", "attacker.test:{S}"), want: 421},
		{name: "CONNECT with a user", head: opening("victim.test@attacker.test:{S}"), want: 400},
		{name: "CONNECT with a URL", head: opening("https://attacker.test:{S}/"), want: 400},
		{name: "CONNECT with a path", head: opening("attacker.test:{S}/@victim.test:{S}"), want: 400},
		{name: "CONNECT with a query", head: opening("attacker.test:{S}?victim.test:{S}"), want: 400},
		{name: "CONNECT with port zero", head: opening("victim.test:0"), want: 400},
		{name: "CONNECT with a huge port", head: opening("victim.test:{S}0000"), want: 400},
		{name: "CONNECT to the metadata service", head: opening("169.254.169.254:80"), want: 403},
		{name: "CONNECT to a short address", head: opening("127.1:{S}"), want: 400},
		{name: "CONNECT to 0.0.0.0", head: opening("0.0.0.0:{S}"), want: 403},
		{name: "CONNECT with a zone", head: opening("[fe80::1%lo]:{S}"), want: 400},
	})
}

// What comes before the tunnel is open, and in clear inside of it.
func TestAttackEarlyBytes(t *testing.T) {
	for _, c := range []struct {
		name, send string
		victim     int
	}{
		{"request for the victim behind CONNECT to the attacker", opening("attacker.test:{P}") + ask("http://victim.test:{P}/"), 0},
		{"request for the attacker behind CONNECT to the victim", opening("victim.test:{P}") + head("GET / HTTP/1.1", "Host: attacker.test:{P}"), 0},
		{"absolute URL behind CONNECT to the victim", opening("victim.test:{P}") + head("GET http://attacker.test:{P}/ HTTP/1.1", "Host: attacker.test:{P}"), 0},
		{"request in clear in a tunnel for TLS", opening("victim.test:{S}") + head("GET / HTTP/1.1", "Host: victim.test:{S}"), -1},
		{"request in clear", opening("victim.test:{P}") + head("GET / HTTP/1.1", "Host: victim.test:{P}"), 1},
		{"HTTP/2 in clear", opening("victim.test:{P}") + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00", -1},
		{"upgrade to h2c", opening("victim.test:{P}") + "GET / HTTP/1.1\r\nHost: victim.test:{P}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", 1},
		{"half a TLS record", opening("victim.test:{S}") + "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newArena(t, "forward")
			conn := a.dial(t)
			_ = conn.SetDeadline(time.Now().Add(2 * time.Second)) // some wait for more
			_, _ = conn.Write([]byte(a.ports.Replace(c.send)))
			var out bytes.Buffer
			_, _ = out.ReadFrom(conn)
			_ = conn.Close()
			if victim, _ := a.verify(t, out.Bytes()); c.victim >= 0 && len(victim) != c.victim {
				t.Errorf("the victim got %d requests: %q", len(victim), out.Bytes())
			}
		})
	}
}

// A target that repeats the credential, in every way, does not tell the client,
// in either version and with and without a tunnel.
func TestAttackEcho(t *testing.T) {
	a := newArena(t, "refuse")
	for _, c := range []struct{ name, path, header string }{
		{name: "header", path: "/echo/header"},
		{name: "early hints", path: "/echo/early"},
		{name: "text", path: "/echo/text"},
		{name: "JSON", path: "/echo/json"},
		{name: "JSON with escapes", path: "/echo/json-escaped"},
		{name: "HTML", path: "/echo/html"},
		{name: "URL", path: "/echo/url"},
		{name: "no type", path: "/echo/untyped"},
		{name: "gzip", path: "/echo/gzip", header: "Accept-Encoding: gzip, br"},
		{name: "byte by byte", path: "/echo/split"},
		{name: "across the limit", path: "/echo/late"},
		{name: "trailers", path: "/echo/trailer", header: "TE: trailers"},
		{name: "error", path: "/echo/error"},
		{name: "unauthorized", path: "/echo/401"},
		{name: "proxy authentication", path: "/echo/proxy-auth"},
		{name: "several ranges", path: "/echo/range", header: "Range: bytes=0-0,1-200"},
		{name: "half of it", path: "/echo/range", header: "Range: bytes=9-33"},
		{name: "the other half", path: "/echo/range", header: "Range: bytes=30-200"},
		{name: "all but the start", path: "/echo/range", header: "Range: bytes=24-"},
		{name: "the end", path: "/echo/range", header: "Range: bytes=-38"},
		{name: "message", path: "/echo/trace"},
		{name: "multipart", path: "/echo/mixed"},
		{name: "redirect", path: "/redirect"},
		{name: "upgrade", path: "/upgrade", header: "Upgrade: websocket\r\nConnection: Upgrade"},
	} {
		for _, host := range []string{victimName, basicName} {
			t.Run(c.name+"/"+host, func(t *testing.T) {
				lines := []string{"Host: " + host + ":{P}"}
				if c.header != "" {
					lines = append(lines, c.header)
				}
				got := a.talk(t, a.dial(t), a.ports.Replace(head("GET http://"+host+":{P}"+c.path+" HTTP/1.1", lines...))+"second line\n")
				if victim, _ := a.verify(t, got); len(victim) == 0 {
					t.Errorf("the victim was not asked: %q", got)
				}
				lines[0] = "Host: " + host + ":{S}"
				inner, answer := a.tunnel(t, a.ports.Replace(opening(host+":{S}")), host)
				if inner == nil {
					t.Fatalf("%q", answer)
				}
				a.verify(t, a.talk(t, inner, a.ports.Replace(head("GET "+c.path+" HTTP/1.1", lines...))+"second line\n"))
			})
		}
	}
	t.Run("query", func(t *testing.T) {
		a.verify(t, a.talk(t, a.dial(t), a.ports.Replace(ask("http://scoped.test:{P}/v1/redirect?a=b"))))
	})
}

// What an attacker's name server says about the host of a service.
func TestAttackNames(t *testing.T) {
	for _, unmatched := range []string{"refuse", "forward"} {
		a := newArena(t, unmatched)
		for _, c := range []struct {
			name, url string
			answers   []string
			want      int
		}{
			{"the attacker's address", "http://lost.test:{S}/", []string{"127.0.0.2"}, 502}, // whose certificate is another
			{"another address after the first", "http://lost.test:{S}/", []string{"169.254.169.254", "127.0.0.2"}, 403},
			{"metadata service", "http://lost.test:{P}/", []string{"169.254.169.254"}, 403},
			{"metadata service for another port", "http://lost.test:{P}/", []string{"169.254.170.2"}, 403},
			{"metadata service over IPv6", "http://lost.test:{S}/", []string{"fd00:ec2::254"}, 403},
			{"link-local over IPv6", "http://lost.test:{S}/", []string{"fe80::1"}, 403},
			{"nowhere", "http://lost.test:{P}/", []string{"0.0.0.0"}, 403},
			{"everybody", "http://lost.test:{S}/", []string{"224.0.0.1"}, 403},
			{"mapped metadata service", "http://lost.test:{S}/", []string{"64:ff9b::a9fe:a9fe"}, 403},
			{"metadata service of Alibaba", "http://lost.test:{S}/", []string{"100.100.100.200"}, 403},
		} {
			t.Run(unmatched+"/"+c.name, func(t *testing.T) {
				a.names.set(lostName, c.answers...)
				got := a.talk(t, a.dial(t), a.ports.Replace(head("GET "+c.url+" HTTP/1.1", "Host: x")))
				if victim, _ := a.verify(t, got); len(victim) > 0 || !bytes.HasPrefix(got, fmt.Appendf(nil, "HTTP/1.1 %d ", c.want)) {
					t.Errorf("got %q, want %d", got, c.want)
				}
			})
		}
	}
}
