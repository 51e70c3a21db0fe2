package http1wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"secretless/internal/wire/http1wire"
)

var limits = http1wire.Limits{Bytes: 8 << 10, Lines: 64}

func nothing([]byte) error { return nil }

// read reads one head of a request, as a server does.
func read(text string) (*http1wire.Request, *http1wire.Input, error) {
	in := http1wire.NewInput(strings.NewReader(text), nil)
	n, err := http1wire.Head(in, limits, nothing)
	if err != nil {
		return nil, in, err
	}
	r := &http1wire.Request{}
	err = r.Parse(in.Bytes()[:n], limits)
	in.Skip(n)
	return r, in, err
}

func TestRequest(t *testing.T) {
	r, in, err := read("POST http://a.example/x?y=1 HTTP/1.1\r\nhost: a.example\r\nX-One: 1 \r\nx-one:\t2\r\nContent-Length: 3\r\nConnection: x, Close\r\n\r\nabcNEXT")
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"X-One": {"1", "2"}, "Content-Length": {"3"}, "Connection": {"x, Close"}}
	if r.Method != "POST" || r.Target != "http://a.example/x?y=1" || r.Minor != 1 || r.Host != "a.example" || r.Length != 3 || !r.Close || !same(r.Fields.Header(), want) {
		t.Errorf("%+v", r)
	}
	if string(in.Bytes()) != "abcNEXT" {
		t.Errorf("%q is left", in.Bytes())
	}
	r, _, err = read("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nTrailer: x-sum, X-More\r\n\r\n")
	if err != nil || r.Length != -1 || len(r.Announced) != 2 || len(r.Fields) != 0 || r.Close {
		t.Errorf("%+v %v", r, err)
	}
	if r, _, err = read("GET / HTTP/1.0\r\n\r\n"); err != nil || !r.Close || r.Host != "" {
		t.Errorf("%+v %v", r, err)
	}
	if r, _, err = read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"); err != nil || r.Close {
		t.Errorf("%+v %v", r, err)
	}
}

func same(a, b http.Header) bool {
	return maps.EqualFunc(a, b, func(x, y []string) bool { return slices.Equal(x, y) })
}

// What two programs could read in two ways is refused.
func TestRefusedRequests(t *testing.T) {
	post := func(lines ...string) string {
		return "POST / HTTP/1.1\r\nHost: x\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"both framings":                {post("Content-Length: 4", "Transfer-Encoding: chunked"), 400},
		"both framings, the other way": {post("Transfer-Encoding: chunked", "Content-Length: 4"), 400},
		"coding twice":                 {post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 501},
		"list of codings":              {post("Transfer-Encoding: gzip, chunked"), 501},
		"another coding":               {post("Transfer-Encoding: identity"), 501},
		"empty coding":                 {post("Transfer-Encoding:"), 501},
		"coding of HTTP/1.0":           {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		"two lengths":                  {post("Content-Length: 1", "Content-Length: 2"), 400},
		"the same length twice":        {post("Content-Length: 1", "Content-Length: 1"), 400},
		"list of lengths":              {post("Content-Length: 1, 1"), 400},
		"signed length":                {post("Content-Length: +1"), 400},
		"negative length":              {post("Content-Length: -1"), 400},
		"hexadecimal length":           {post("Content-Length: 0x1"), 400},
		"length with an underscore":    {post("Content-Length: 1_0"), 400},
		"length in other digits":       {post("Content-Length: \u0661"), 400},
		"empty length":                 {post("Content-Length:"), 400},
		"length beyond 63 bits":        {post("Content-Length: 9223372036854775808"), 400},
		"blank before the colon":       {post("Content-Length : 1"), 400},
		"tab before the colon":         {post("Content-Length\t: 1"), 400},
		"folded with a blank":          {post("X: a", " b"), 400},
		"folded with a tab":            {post("X: a", "\tb"), 400},
		"folded first line":            {"GET / HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n", 400},
		"no colon":                     {post("Host"), 400},
		"empty name":                   {post(": a"), 400},
		"name with a blank":            {post("X Y: a"), 400},
		"name with a control byte":     {post("X\x00: a"), 400},
		"name beyond ASCII":            {post("Ä: a"), 400},
		"value with NUL":               {post("X: a\x00b"), 400},
		"value with a bare CR":         {post("X: a\rb"), 400},
		"value with a bare LF":         {post("X: a\nY: b"), 400},
		"value with DEL":               {post("X: a\x7f"), 400},
		"line feeds alone":             {"GET / HTTP/1.1\nHost: x\n\n", 400},
		"one line feed alone":          {"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400},
		"two hosts":                    {post("Host: x"), 400},
		"no host":                      {"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400},
		"host with a blank":            {"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400},
		"list of hosts":                {"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", 400},
		"empty line first":             {"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"nothing":                      {"\r\n\r\n", 400},
		"two blanks":                   {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"tab in the line":              {"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"tab in the target":            {"GET /\tx HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"blank in the target":          {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"blank at the end":             {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
		"no version":                   {"GET /\r\nHost: x\r\n\r\n", 400},
		"lower case version":           {"GET / http/1.1\r\nHost: x\r\n\r\n", 400},
		"HTTP/2":                       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"HTTP/1.2":                     {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
		"HTTP/0.9":                     {"GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505},
		"method with a bracket":        {"GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"no method":                    {" / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"TLS":                          {"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400},
		"framing in a trailer":         {post("Transfer-Encoding: chunked", "Trailer: Content-Length"), 400},
		"coding in a trailer":          {post("Transfer-Encoding: chunked", "Trailer: x, transfer-encoding"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(c.text)
			if m, ok := errors.AsType[*http1wire.MalformedError](err); !ok || m.Status != c.want {
				t.Errorf("%v, want %d", err, c.want)
			}
		})
	}
}

func TestHeadLimits(t *testing.T) {
	long := "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", limits.Bytes)
	trailers := ""
	for n := range 257 {
		trailers += fmt.Sprintf("x%d, ", n)
	}
	for name, text := range map[string]string{
		"long line":       long + "\r\n\r\n",
		"endless line":    long,
		"too many lines":  "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", limits.Lines) + "\r\n",
		"endless request": strings.Repeat("y", 2*limits.Bytes),
		"many trailers":   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: " + trailers + "\r\n\r\n",
	} {
		if _, in, err := read(text); !errors.Is(err, http1wire.ErrTooLarge) && !errors.Is(err, http1wire.ErrFull) {
			t.Errorf("%s: %v", name, err)
		} else if in.Len() > 2*limits.Bytes {
			t.Errorf("%s: %d bytes are kept", name, in.Len())
		}
	}
	fits := "GET / HTTP/1.1\r\nHost: x\r\nX: "
	fits += strings.Repeat("y", limits.Bytes-len(fits)-4) + "\r\n\r\n"
	if _, _, err := read(fits); err != nil {
		t.Error(err)
	}
}

// A head that comes byte by byte is the same head, and what is wrong with it is
// seen before it is whole.
func TestSlowHead(t *testing.T) {
	in := http1wire.NewInput(oneByte{strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\n\r\nrest")}, nil)
	calls := 0
	n, err := http1wire.Head(in, limits, func(come []byte) error {
		if calls != len(come) {
			t.Errorf("%d bytes after %d reads", len(come), calls)
		}
		calls++
		return nil
	})
	if err != nil || n != 27 || in.Len() != n {
		t.Errorf("%d %v, %d have come", n, err, in.Len())
	}
	stop := errors.New("stop")
	if _, err := http1wire.Head(http1wire.NewInput(strings.NewReader("x"), nil), limits, func([]byte) error { return stop }); err != stop {
		t.Error(err)
	}
	in = http1wire.NewInput(io.MultiReader(strings.NewReader("GET / HTTP/1.1\n"), never{}), nil)
	if _, err := http1wire.Head(in, limits, nothing); err == nil {
		t.Error("it waits for the rest")
	}
}

type oneByte struct{ io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }

type never struct{}

func (never) Read([]byte) (int, error) { panic("read on") }

// FuzzRequest: what is taken for a request is one to net/http, with the same
// meaning and the same end.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, in, err := read(string(text))
		if err != nil {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			if !strings.Contains(err.Error(), "parse") && !strings.Contains(err.Error(), "invalid") {
				t.Fatalf("net/http refuses %q: %v", text, err)
			}
			return // a URL or a Host that the proxy refuses later
		}
		if theirs.Method != r.Method || theirs.RequestURI != r.Target || theirs.ContentLength != r.Length || theirs.ProtoMinor != r.Minor {
			t.Fatalf("%q: %+v, net/http: %+v", text, r, theirs)
		}
		theirs.Header.Del("Host")
		theirs.Header.Del("Trailer") // without chunks, it keeps what it ignores
		if !same(theirs.Header, r.Fields.Header()) {
			t.Fatalf("%q: %v, net/http: %v", text, r.Fields, theirs.Header)
		}
		compareBodies(t, text, in, r.Length, theirs.Body)
	})
}

// compareBodies reads both, and what comes behind.
func compareBodies(t *testing.T, text []byte, in *http1wire.Input, length int64, theirs io.Reader) {
	want, theirErr := io.ReadAll(theirs)
	var ours []byte
	var err error
	if length < 0 {
		var c http1wire.Chunks
		c.Reset(in)
		ours, err = io.ReadAll(&c)
	} else {
		ours, err = io.ReadAll(io.LimitReader(in, length))
		if int64(len(ours)) < length {
			err = io.ErrUnexpectedEOF
		}
	}
	if err == nil && (theirErr != nil || !bytes.Equal(ours, want)) {
		t.Fatalf("%q: body %q, net/http: %q %v", text, ours, want, theirErr)
	}
}
