package httpproxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// BenchmarkKeepAlive is one client that asks for 1 KiB again and again.
func BenchmarkKeepAlive(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go rawTarget(ln)
	p := newProxy(b, svc{name: "a", config: fmt.Sprintf("hosts: [%q]", ln.Addr())})
	conn := p.dial()
	in := bufio.NewReader(conn)
	request := []byte("GET http://" + ln.Addr().String() + "/k1 HTTP/1.1\r\nHost: " + ln.Addr().String() + "\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

// rawTarget answers every request alike, at no cost worth measuring.
func rawTarget(ln net.Listener) {
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"), make([]byte, 1024)...)
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
