package httpproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"secretless/internal/connector/httpproxy"
)

func TestInterceptedTunnel(t *testing.T) {
	tg := newTLSTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	for name, c := range map[string]struct {
		major  int
		change func(*http.Transport)
	}{
		"h2":    {2, func(*http.Transport) {}},
		"http1": {1, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = false }},
	} {
		t.Run(name, func(t *testing.T) {
			client := p.client(c.change)
			for range 3 {
				resp, err := client.Get(tg.URL + "/x?y=1")
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 || string(body) != "hello\n" || resp.ProtoMajor != c.major {
					t.Errorf("%v %q", resp, body)
				}
				if r := tg.last(t); r.Header.Get("X-Token") != "Token "+sesame || r.Host != tg.host || r.URL.RawQuery != "y=1" {
					t.Errorf("%s %v %v", r.Host, r.URL, r.Header)
				}
			}
		})
	}
}

func TestPlainHTTPInTunnel(t *testing.T) {
	tg := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	conn, resp := p.open(tg.host)
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	fmt.Fprintf(conn, "GET /in HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", tg.host)
	all, _ := io.ReadAll(conn)
	if !strings.Contains(string(all), "hello") || tg.last(t).Header.Get("X-Token") == "" {
		t.Errorf("%q", all)
	}
}

func TestTunnelWithoutAuthority(t *testing.T) {
	tg := newTLSTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", tg.host)})
	for _, s := range []httpproxy.Authority{nil, none{}} {
		p.connector.SetAuthority(s)
		_, resp := p.open(tg.host)
		body := make([]byte, 300)
		n, _ := io.ReadFull(resp.Body, body[:resp.ContentLength])
		if resp.StatusCode != 405 || !strings.Contains(string(body[:n]), "secretless ca init") || !strings.Contains(string(body[:n]), "service a") {
			t.Errorf("%s %q", resp.Status, body[:n])
		}
	}
}

type none struct{}

func (none) Certificate(string) (*tls.Certificate, error) { return nil, httpproxy.ErrNoAuthority }

func TestTunnelsWithoutService(t *testing.T) {
	echo := echoServer(t)
	mine := newTarget(t, nil)
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", mine.host)})
	if _, resp := p.open(echo); resp.StatusCode != 403 {
		t.Error(resp.Status)
	}
	p = newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q], unmatched: forward", mine.host)})
	conn, resp := p.open(echo)
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	_, _ = io.WriteString(conn, "\x16anything")
	got := make([]byte, 9)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "\x16anything" {
		t.Errorf("%q %v", got, err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
	_, resp = p.open("127.0.0.1:1")
	if resp.StatusCode != 502 {
		t.Error(resp.Status)
	}
}

func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

// Everything inside of a tunnel agrees with what it was opened for.
func TestTunnelAuthority(t *testing.T) {
	tg := newTLSTarget(t, nil)
	_, port, _ := strings.Cut(tg.host, ":")
	named := "localhost:" + port
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q, %q]", named, "evil.test")})
	for name, c := range map[string]struct {
		sni, request string
		want         int
	}{
		"right":              {"localhost", "GET / HTTP/1.1\r\nHost: " + named, 200},
		"upper case":         {"LOCALHOST", "GET / HTTP/1.1\r\nHost: LocalHost:" + port, 200},
		"trailing dot":       {"localhost", "GET / HTTP/1.1\r\nHost: localhost.:" + port, 200},
		"no SNI":             {"", "GET / HTTP/1.1\r\nHost: " + named, 200},
		"absolute":           {"localhost", "GET https://" + named + "/ HTTP/1.1\r\nHost: x", 200},
		"other Host":         {"localhost", "GET / HTTP/1.1\r\nHost: evil.test", 421},
		"other port":         {"localhost", "GET / HTTP/1.1\r\nHost: localhost:1", 421},
		"default port":       {"localhost", "GET / HTTP/1.1\r\nHost: localhost", 421},
		"other absolute":     {"localhost", "GET https://evil.test/ HTTP/1.1\r\nHost: " + named, 421},
		"other scheme":       {"localhost", "GET http://" + named + "/ HTTP/1.1\r\nHost: " + named, 421},
		"other SNI":          {"evil.test", "GET / HTTP/1.1\r\nHost: " + named, 421},
		"SNI and Host":       {"evil.test", "GET / HTTP/1.1\r\nHost: evil.test", 421},
		"userinfo":           {"localhost", "GET / HTTP/1.1\r\nHost: u@" + named, 400},
		"nested tunnel":      {"localhost", "CONNECT " + named + " HTTP/1.1\r\nHost: " + named, 405},
		"authority in path":  {"localhost", "GET //evil.test/ HTTP/1.1\r\nHost: " + named, 200},
		"request for nobody": {"localhost", "GET * HTTP/1.1\r\nHost: " + named, 400},
	} {
		t.Run(name, func(t *testing.T) {
			conn, resp := p.open(named)
			if resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
			inner := tls.Client(conn, &tls.Config{ServerName: c.sni, InsecureSkipVerify: true})
			fmt.Fprintf(inner, "%s\r\nConnection: close\r\n\r\n", c.request)
			resp, err := http.ReadResponse(bufio.NewReader(inner), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.want || strings.Contains(string(body), sesame) {
				t.Errorf("%s %q, want %d", resp.Status, body, c.want)
			}
		})
	}
	for _, r := range tg.requests() {
		if r.Host != named {
			t.Errorf("asked for %q", r.Host)
		}
	}
}

// HTTP/2 has its own ways to say who is asked.
func TestTunnelAuthorityHTTP2(t *testing.T) {
	tg := newTLSTarget(t, nil)
	_, port, _ := strings.Cut(tg.host, ":")
	named := "localhost:" + port
	p := newProxy(t, svc{name: "a", config: fmt.Sprintf("hosts: [%q, evil.test]", named)})
	conn, _ := p.open(named)
	inner := tls.Client(conn, &tls.Config{ServerName: "localhost", RootCAs: roots(t), NextProtos: []string{"h2"}})
	cc, err := (&http2.Transport{}).NewClientConn(inner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	for name, c := range map[string]struct {
		authority string
		header    http.Header
		want      int
	}{
		"right":      {named, nil, 200},
		"other":      {"evil.test", nil, 421},
		"other port": {"localhost", nil, 421},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := cc.RoundTrip(&http.Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: c.authority, Path: "/"}, Host: c.authority, Header: c.header})
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s, want %d", resp.Status, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodConnect, "https://"+named, nil)
	if resp, err := cc.RoundTrip(r); err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode != 405 {
			t.Errorf("CONNECT in HTTP/2: %s", resp.Status)
		}
	}
}

func TestConnectIsChecked(t *testing.T) {
	p := newProxy(t, svc{name: "a", config: "hosts: [a.example], unmatched: forward"})
	for target, want := range map[string]string{
		"user@127.0.0.1:443": "400", "0x7f.1:443": "400", "127.1:443": "400", "[fe80::1]:443": "403", "169.254.169.254:80": "403",
		"[fd00:ec2::254]:80": "403", "[64:ff9b::a9fe:a9fe]:80": "403", "0.0.0.0:80": "403", "224.0.0.1:80": "403",
	} {
		out := p.raw("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(out, "HTTP/1.1 "+want) {
			t.Errorf("%s: %q", target, out)
		}
	}
	for _, framing := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		out := p.raw("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + framing)
		if !strings.HasPrefix(out, "HTTP/1.1 400") {
			t.Errorf("%q: %q", framing, out)
		}
	}
}
