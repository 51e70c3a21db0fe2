package httpproxy_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
)

// BenchmarkKeepAlive is one client that asks for 1 KiB again and again, with the
// headers that curl sends and nginx answers with.
func BenchmarkKeepAlive(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go rawTarget(ln)
	p := startProxy(b, nil, false, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", ln.Addr())})
	conn := p.dial()
	request := []byte("GET http://" + ln.Addr().String() + "/k1 HTTP/1.1\r\nHost: " + ln.Addr().String() +
		"\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n")
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		for n, whole := 0, false; !whole; {
			got, err := conn.Read(answer[n:])
			if n += got; err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200 OK\r\n")) {
				b.Fatal(err)
			}
			head := bytes.Index(answer[:n], []byte("\r\n\r\n"))
			whole = head > 0 && n == head+4+1024
		}
	}
}

// rawTarget answers every request alike, at no cost worth measuring.
func rawTarget(ln net.Listener) {
	answer := []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Fri, 27 Nov 2026 08:00:00 GMT\r\nContent-Type: text/plain\r\n" +
		"Content-Length: 1024\r\nLast-Modified: Fri, 27 Nov 2026 07:00:00 GMT\r\nConnection: keep-alive\r\n" +
		"ETag: \"6927f5c0-400\"\r\nAccept-Ranges: bytes\r\n\r\n" + strings.Repeat("x", 1024))
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			buf := make([]byte, 4096)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}
