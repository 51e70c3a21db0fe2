//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// attack is one attempt to have a credential sent where it does not belong.
type attack struct {
	name   string
	send   string // to the listener, or inside of a tunnel; {P}, {S} and {A} are ports
	want   int    // the first status that the client gets; 0: any, or none
	victim int    // how many requests the victim gets, with or without a credential; negative: any
	head   string // CONNECT, for a tunnel
	sni    string
}

// head makes a request of lines.
func head(first string, lines ...string) string {
	return first + "\r\n" + strings.Join(append(lines, "Connection: close"), "\r\n") + "\r\n\r\n"
}

// ask is a GET for url with the victim's name as Host.
func ask(url string) string {
	return head("GET "+url+" HTTP/1.1", "Host: victim.test:{P}")
}

// attacks runs the cases against a broker that lets what no service matches
// through, and against one that does not.
func attacks(t *testing.T, cases []attack) {
	for _, unmatched := range []string{"forward", "refuse"} {
		t.Run(unmatched, func(t *testing.T) {
			a := newArena(t, unmatched)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { a.attempt(t, c, unmatched == "forward") })
			}
		})
	}
}

func (a *arena) attempt(t *testing.T, c attack, forward bool) {
	t.Helper()
	send := a.ports.Replace(c.send)
	var got []byte
	if c.head == "" {
		got = a.talk(t, a.dial(t), send)
	} else if inner, answer := a.tunnel(t, a.ports.Replace(c.head), c.sni); inner != nil {
		got = a.talk(t, inner, send)
	} else {
		got = answer
	}
	victim, attacker := a.verify(t, got)
	if !forward && len(attacker) > 0 {
		t.Errorf("what no service matches was let through: %q", got)
	}
	if c.victim >= 0 && forward && len(victim) != c.victim {
		t.Errorf("the victim got %d requests, want %d; the client got %.300q", len(victim), c.victim, got)
	}
	status := 0
	_, _ = fmt.Sscanf(string(bytes.TrimPrefix(bytes.TrimPrefix(got, []byte("HTTP/1.1 ")), []byte("HTTP/1.0 "))), "%d", &status)
	if c.want != 0 && status != c.want && (forward || status != http.StatusForbidden) {
		t.Errorf("got %.300q, want %d", got, c.want)
	}
}

func TestAttackAuthority(t *testing.T) {
	attacks(t, []attack{
		{name: "host header names the attacker", send: head("GET http://victim.test:{P}/ HTTP/1.1", "Host: attacker.test:{P}"), want: 200, victim: 1},
		{name: "host header names the victim", send: ask("http://attacker.test:{P}/"), want: 200},
		{name: "two host headers", send: head("GET http://attacker.test:{P}/ HTTP/1.1", "Host: attacker.test:{P}", "Host: victim.test:{P}"), want: 400},
		{name: "list of hosts", send: head("GET http://attacker.test:{P}/ HTTP/1.1", "Host: victim.test:{P}, attacker.test:{P}"), want: 400},
		{name: "no host", send: head("GET http://attacker.test:{P}/ HTTP/1.1"), want: 400},
		{name: "folded host", send: head("GET http://attacker.test:{P}/ HTTP/1.1", "Host: attacker.test:{P}", " victim.test"), want: 400},
		{name: "forwarded host", send: head("GET http://attacker.test:{P}/ HTTP/1.1", "Host: attacker.test:{P}", "X-Forwarded-Host: victim.test:{P}", "Forwarded: host=victim.test"), want: 200},

		{name: "victim as user", send: ask("http://victim.test@attacker.test:{P}/"), want: 400},
		{name: "victim as user and password", send: ask("http://victim.test:{P}@attacker.test:{P}/"), want: 400},
		{name: "attacker as user", send: ask("http://attacker.test:{P}@victim.test:{P}/"), want: 400},
		{name: "encoded at sign", send: ask("http://victim.test%40attacker.test:{P}/"), want: 400},
		{name: "two at signs", send: ask("http://attacker.test@victim.test@attacker.test:{P}/"), want: 400},
		{name: "empty user", send: ask("http://@attacker.test:{P}/"), want: 400},
		{name: "backslash before the host", send: ask(`http://victim.test:{P}\@attacker.test:{P}/`), want: 400},
		{name: "backslashes for slashes", send: ask(`http:\\victim.test:{P}\`), want: 400},
		{name: "fragment before the host", send: ask("http://attacker.test:{P}#@victim.test:{P}/"), want: 400},
		{name: "query before the host", send: ask("http://attacker.test:{P}?@victim.test:{P}/"), want: 200},
		{name: "path before the host", send: ask("http://attacker.test:{P}/@victim.test:{P}/"), want: 200},
		{name: "semicolon in the host", send: ask("http://victim.test;attacker.test:{P}/"), want: 400},
		{name: "comma in the host", send: ask("http://victim.test,attacker.test:{P}/"), want: 400},
		{name: "blank in the host", send: ask("http://victim.test attacker.test:{P}/"), want: 400},
		{name: "tab in the host", send: ask("http://attacker.test:{P}\t.victim.test:{P}/"), want: 400},
		{name: "zero byte in the host", send: ask("http://victim.test\x00.attacker.test:{P}/"), want: 400},

		{name: "trailing dot", send: ask("http://victim.test.:{P}/"), want: 200, victim: 1},
		{name: "two trailing dots", send: ask("http://victim.test..:{P}/"), want: 400},
		{name: "leading dot", send: ask("http://.victim.test:{P}/"), want: 400},
		{name: "empty label", send: ask("http://victim..test:{P}/"), want: 400},
		{name: "encoded dot", send: ask("http://victim%2etest:{P}/"), want: 400},
		{name: "attacker's subdomain", send: ask("http://victim.test.attacker.test:{P}/"), want: 200},
		{name: "longer name", send: ask("http://notvictim.test:{P}/"), want: 200},
		{name: "victim's subdomain", send: ask("http://x.victim.test:{P}/"), want: 200},
		{name: "another character for the dot", send: ask("http://victimxtest:{P}/"), want: 200},
		{name: "upper case", send: head("GET HTTP://VICTIM.TEST:{P}/ HTTP/1.1", "Host: attacker.test"), want: 200, victim: 1},

		{name: "another port", send: ask("http://victim.test:{A}/"), want: 200},
		{name: "port zero", send: ask("http://victim.test:0/"), want: 400},
		{name: "port with zeros", send: ask("http://victim.test:0{P}/"), want: 400},
		{name: "port with a sign", send: ask("http://victim.test:+{P}/"), want: 400},
		{name: "negative port", send: ask("http://victim.test:-{P}/"), want: 400},
		{name: "huge port", send: ask("http://victim.test:655360000{P}/"), want: 400},
		{name: "port by name", send: ask("http://victim.test:http/"), want: 400},
		{name: "two ports", send: ask("http://victim.test:{P}:{A}/"), want: 400},
		{name: "port of other digits", send: ask("http://victim.test:８０/"), want: 400},
		{name: "encoded colon", send: ask("http://victim.test%3a{A}/"), want: 400},

		{name: "homograph", send: ask("http://viсtim.test:{P}/"), want: 200}, // a Cyrillic letter
		{name: "punycode of a homograph", send: ask("http://xn--vitim-3ye.test:{P}/")},
		{name: "punycode of ASCII", send: ask("http://xn--victim-.test:{P}/"), want: 400},
		{name: "full width", send: ask("http://ｖｉｃｔｉｍ.test:{P}/"), want: 200, victim: 1},
		{name: "ideographic dot", send: ask("http://victim。test:{P}/"), want: 200, victim: 1},
		{name: "zero width joiner", send: ask("http://vic\u200dtim.test:{P}/")},
		{name: "soft hyphen", send: ask("http://vic\u00adtim.test:{P}/"), want: 200, victim: 1}, // UTS 46 ignores it
		{name: "account of", send: ask("http://attacker.test\u2100victim.test:{P}/"), want: 400},
		{name: "slash of fractions", send: ask("http://victim.test\u2044.attacker.test:{P}/"), want: 200},
		{name: "encoded UTF-8", send: ask("http://%EF%BD%96ictim.test:{P}/"), want: 200, victim: 1},
		{name: "no UTF-8", send: ask("http://vic\xfftim.test:{P}/"), want: 400},
		{name: "long s", send: ask("http://victim.te\u017ft:{P}/"), want: 200, victim: 1}, // maps to s

		{name: "decimal address", send: ask("http://2130706433:{P}/"), want: 400},
		{name: "hexadecimal address", send: ask("http://0x7f000001:{P}/"), want: 400},
		{name: "hexadecimal parts", send: ask("http://0x7f.0x0.0x0.0x1:{P}/"), want: 400},
		{name: "octal address", send: ask("http://0177.0.0.1:{P}/"), want: 400},
		{name: "short address", send: ask("http://127.1:{P}/"), want: 400},
		{name: "zeros in an address", send: ask("http://127.0.0.001:{P}/"), want: 400},
		{name: "address with a dot", send: ask("http://127.0.0.2.:{P}/"), want: 200},
		{name: "address with a domain", send: ask("http://127.0.0.1.attacker.test:{P}/"), want: 200},
		{name: "too large address", send: ask("http://127.0.0.256:{P}/"), want: 400},
		{name: "circled digits", send: ask("http://①②⑦.⓪.⓪.①:{P}/"), want: 400},
		{name: "mapped IPv6", send: ask("http://[::ffff:127.0.0.2]:{P}/"), want: 200},
		{name: "mapped IPv6 of the victim", send: ask("http://[::ffff:7f00:1]:{P}/"), want: 200, victim: 1},
		{name: "compatible IPv6", send: ask("http://[::127.0.0.1]:{P}/")},
		{name: "IPv6 zone", send: ask("http://[::1%25lo]:{P}/"), want: 400},
		{name: "IPv6 without brackets", send: ask("http://::1:{P}/"), want: 400},
		{name: "name in brackets", send: ask("http://[victim.test]:{P}/"), want: 400},
		{name: "text behind the bracket", send: ask("http://[::1]victim.test:{P}/"), want: 400},
		{name: "unspecified address", send: ask("http://0.0.0.0:{P}/"), want: 403},
		{name: "unspecified IPv6", send: ask("http://[::]:{P}/"), want: 403},
		{name: "broadcast", send: ask("http://255.255.255.255:{P}/"), want: 403},

		{name: "metadata service", send: ask("http://169.254.169.254/latest/meta-data/"), want: 403},
		{name: "metadata service, mapped", send: ask("http://[::ffff:a9fe:a9fe]/"), want: 403},
		{name: "metadata service, NAT64", send: ask("http://[64:ff9b::a9fe:a9fe]/"), want: 403},
		{name: "metadata service, IPv6", send: ask("http://[fd00:ec2::254]/"), want: 403},
		{name: "link-local IPv6", send: ask("http://[fe80::1]/"), want: 403},
	})
}

func TestAttackForm(t *testing.T) {
	attacks(t, []attack{
		{name: "origin form", send: ask("/"), want: 400},
		{name: "origin form with two slashes", send: ask("//victim.test:{P}/"), want: 400},
		{name: "asterisk form", send: head("OPTIONS * HTTP/1.1", "Host: victim.test:{P}"), want: 400},
		{name: "authority form", send: ask("victim.test:{P}"), want: 400},
		{name: "opaque URL", send: ask("http:victim.test:{P}/"), want: 400},
		{name: "opaque URL around another", send: ask("http:http://victim.test:{P}/"), want: 400},
		{name: "one slash", send: ask("http:/victim.test:{P}/"), want: 400},
		{name: "three slashes", send: ask("http:///victim.test:{P}/"), want: 400},
		{name: "no host at all", send: ask("http://:{P}/"), want: 400},
		{name: "ftp", send: ask("ftp://victim.test:{P}/"), want: 400},
		{name: "file", send: ask("file://victim.test/etc/passwd"), want: 400},
		{name: "gopher", send: ask("gopher://victim.test:{P}/x"), want: 400},
		{name: "ws", send: ask("ws://victim.test:{P}/"), want: 400},
		{name: "relative scheme", send: ask("//attacker.test:{P}/"), want: 400},
		{name: "blank before the URL", send: ask(" http://victim.test:{P}/"), want: 400},
		{name: "blanks after the URL", send: ask("http://victim.test:{P}/  x"), want: 400},
		{name: "HTTP/0.9", send: "GET http://victim.test:{P}/\r\n\r\n", want: 400},
		{name: "HTTP/2 preface", send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{name: "HTTP/1.2", send: ask("http://victim.test:{P}/") + "x", want: 200, victim: 1},
		{name: "HTTP/1.0 without host", send: "GET http://victim.test:{P}/ HTTP/1.0\r\n\r\n", want: 200, victim: 1},
		{name: "lower case method", send: head("get http://scoped.test:{P}/v1 HTTP/1.1", "Host: x"), victim: 1},
		{name: "method that is none", send: head("G(T http://victim.test:{P}/ HTTP/1.1", "Host: x"), want: 400},
		// With line breaks, or the broker would wait for the rest of the head.
		{name: "TLS on the plain listener", send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", want: 400},
	})
}

func TestAttackPaths(t *testing.T) {
	var cases []attack
	for _, path := range []string{
		"/v1/../admin", "/v1/./../admin", "/v1/%2e%2e/admin", "/v1/.%2e/admin", "/v1/%2E./admin", "/v1/%252e%252e/admin", "/v1/%25252e%25252e/admin",
		"/v1/..;/admin", "/v1/..;x=y/admin", "/v1/;/../admin", "/v1/x/..%2f..%2fadmin", "/v1%2f..%2fadmin", "/v1/..%5cadmin", "/v1/..%255cadmin",
		"/v1/%c0%ae%c0%ae/admin", "/v1/..%c0%afadmin", "/v1/..%00/admin", "/v1/..%09/admin", "/v1/..%0d%0a/admin", "/v1/.. /admin", "/v1/..%20/admin",
		"//v1/../admin", "/v1//../../admin", "/v1/x/../../admin", "/v1/..", "/v1/%2e%2e", "/V1/x", "/v1x", "/v1;/../admin", "/admin", "/", "", "/admin?/v1/", "/admin%3f/v1/",
		"/%76%31/../admin", "/.;/v1/../admin", "/x/../v1/../admin", "/v1%00/../admin", "/admin%23/v1", "?/v1/",
	} {
		if strings.Contains(path, " ") {
			cases = append(cases, attack{name: path, send: ask("http://scoped.test:{P}" + path), want: 400})
			continue
		}
		cases = append(cases, attack{name: strings.ReplaceAll("path "+path, "/", "|"), send: ask("http://scoped.test:{P}" + path), want: 200, victim: 1})
	}
	cases = append(
		cases,
		attack{name: "backslash", send: ask(`http://scoped.test:{P}/v1/..\admin`), want: 400},
		attack{name: "broken encoding", send: ask("http://scoped.test:{P}/v1/%zz"), want: 400},
		attack{name: "slash at the end", send: ask("http://scoped.test:{P}/v1/"), want: 200, victim: 1},
		attack{name: "fragment", send: ask("http://scoped.test:{P}/admin#/v1/"), want: 400},
		attack{name: "another method", send: head("DELETE http://scoped.test:{P}/v1/x HTTP/1.1", "Host: x"), want: 200, victim: 1},
		attack{name: "mixed case method", send: head("Get http://scoped.test:{P}/v1/x HTTP/1.1", "Host: x"), want: 200, victim: 1},
		attack{name: "query overwritten", send: ask("http://scoped.test:{P}/v1/x?key=mine"), want: 200, victim: 1},
		attack{name: "query overwritten in another case", send: ask("http://scoped.test:{P}/v1/x?KEY=mine&a=b&Key=mine"), want: 200, victim: 1},
		attack{name: "query overwritten, encoded", send: ask("http://scoped.test:{P}/v1/x?%6b%65%79=mine&a=b"), want: 200, victim: 1},
		attack{name: "query overwritten, without value", send: ask("http://scoped.test:{P}/v1/x?key&key&key=mine"), victim: 1, want: 200},
		attack{name: "query overwritten behind a semicolon", send: ask("http://scoped.test:{P}/v1/x?a=1;key=mine"), want: 200, victim: 1},
		attack{name: "query with a broken name", send: ask("http://scoped.test:{P}/v1/x?%zz=1&ke%79=mine"), want: 200, victim: 1},
	)
	for _, name := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "x_http_method_override", "X-Original-URL", "X-Rewrite-URL"} {
		cases = append(cases, attack{name: name, send: head("POST http://scoped.test:{P}/v1/x HTTP/1.1", "Host: x", name+": /admin", "Content-Length: 0"), want: 200, victim: 1})
	}
	attacks(t, cases)
}

func TestAttackHeaders(t *testing.T) {
	get := func(lines ...string) string {
		return head("GET http://victim.test:{P}/ HTTP/1.1", append([]string{"Host: x"}, lines...)...)
	}
	scoped := func(lines ...string) string {
		return head("GET http://scoped.test:{P}/v1 HTTP/1.1", append([]string{"Host: x"}, lines...)...)
	}
	attacks(t, []attack{
		{name: "own credential", send: get("Authorization: Bearer mine"), want: 200, victim: 1},
		{name: "own credential twice", send: get("Authorization: Bearer mine", "authorization: Basic mine", "AUTHORIZATION: mine"), want: 200, victim: 1},
		{name: "underscore twin", send: scoped("X_Api_Key: mine", "x_api-key: mine", "X-API_KEY: mine"), want: 200, victim: 1},
		{name: "named by Connection", send: strings.Replace(get("Authorization: mine"), "Connection: close", "Connection: close, authorization, host, x-api-key", 1), want: 200, victim: 1},
		{name: "Connection twice", send: get("Connection: Authorization", "Connection: Content-Length, Cookie"), want: 200, victim: 1},
		{name: "named by Proxy-Connection", send: get("Proxy-Connection: keep-alive, Authorization"), want: 200, victim: 1},
		{name: "proxy credential", send: get("Proxy-Authorization: Basic bWluZTptaW5l", "Proxy_Authorization: x"), want: 200, victim: 1},
		{name: "framing twins", send: get("Content_Length: 5", "Transfer_Encoding: chunked", "content_length: 9"), want: 200, victim: 1},
		{name: "keep-alive", send: get("Keep-Alive: timeout=5", "TE: gzip, trailers;q=0.5", "Trailer: Authorization", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), want: 200, victim: 1},
		{name: "credential in a trailer", send: head("POST http://victim.test:{P}/ HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Trailer: Authorization, X-Kept") +
			"1\r\nx\r\n0\r\nAuthorization: mine\r\nX-Kept: 1\r\n\r\n", want: 200, victim: 1},
		{name: "credential in a trailer that was not announced", send: head("POST http://victim.test:{P}/ HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Trailer: X-Kept") +
			"1\r\nx\r\n0\r\nAuthorization: mine\r\nX-Kept: 1\r\n\r\n", want: 200, victim: 1},
		{name: "line break in a header", send: get("X: a\rAuthorization: mine"), want: 400},
		{name: "zero byte in a header", send: get("X: a\x00b"), want: 400},
		{name: "header without a colon", send: get("Authorization mine"), want: 400},
		{name: "header without a name", send: get(": mine"), want: 400},
		{name: "header with a pseudo name", send: get(":authority: attacker.test"), want: 400},
		{name: "blank before the colon", send: get("Authorization : mine"), want: 400},
		{name: "folded line", send: get("X: a", " Authorization: mine"), want: 400},
		{name: "folded first line", send: "GET http://victim.test:{P}/ HTTP/1.1\r\n Authorization: mine\r\nHost: x\r\n\r\n", want: 400},
		{name: "many headers", send: get(strings.Repeat("X: y\r\n", 300) + "Y: z"), want: 431},
		{name: "large header", send: get("X: " + strings.Repeat("y", 80<<10)), want: 431},
		{name: "TRACE", send: head("TRACE http://victim.test:{P}/ HTTP/1.1", "Host: x"), want: 405},
		{name: "TRACK", send: head("TRACK http://victim.test:{P}/ HTTP/1.1", "Host: x"), want: 405},
		{name: "TRACE with Max-Forwards", send: head("TRACE http://victim.test:{P}/ HTTP/1.1", "Host: x", "Max-Forwards: 0"), want: 405},
		{name: "a password with a blank goes where it belongs", send: head("GET http://basic.test:{P}/ HTTP/1.1", "Host: x", "Authorization: mine"), want: 200, victim: 1},
	})
}
