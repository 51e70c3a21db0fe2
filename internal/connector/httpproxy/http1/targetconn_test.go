package http1

import (
	"bytes"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/wire/http1wire"
)

// However long a head is, it is written into one buffer, which is wiped.
func TestHeadIsWrittenOnce(t *testing.T) {
	to, err := origin.Parse("http", "target.example:8080")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		c := &targetConn{out: make([]byte, 0, 256)}
		old := c.out[:256]
		out := &message.Request{
			Method: "POST", URL: url.URL{Path: "/" + strings.Repeat("p", n)}, Length: -1, Body: nothing{},
			Fields: http1wire.Fields{
				{Name: "Authorization", Value: "Bearer opensesame-4711"},
				{Name: "X-Long", Value: strings.Repeat("x", 10*n)},
				{Name: "X", Value: ""},
				{Name: "Y", Value: ""},
			},
			Announced: []string{"X-Sum", strings.Repeat("Y", n)},
		}
		if err := c.appendHead(to, out); err != nil {
			t.Fatal(err)
		}
		if room := headSize(out.URL.RequestURI(), to, out); len(c.out) > room {
			t.Errorf("%d bytes, and room for %d", len(c.out), room)
		}
		if &old[0] != &c.out[0] && bytes.Contains(old, []byte("opensesame")) {
			t.Error("the credential is in a buffer that nobody wipes")
		}
	}
}

// The time for one answer does not bound how long a connection is idle after it.
func TestQuietBehindADeadline(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newTargetConn(nc)
	defer c.close()
	c.exactly(-time.Second)
	if !c.quiet() {
		t.Error("it is not kept")
	}
	c.interrupt()
	if c.quiet() {
		t.Error("it is kept although its request was given up")
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }
func (nothing) Close() error             { return nil }
