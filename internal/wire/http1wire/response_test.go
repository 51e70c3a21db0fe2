package http1wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"secretless/internal/wire/http1wire"
)

func readAnswer(text, method string) (*http1wire.Response, *http1wire.Input, error) {
	in := http1wire.NewInput(strings.NewReader(text), nil)
	n, err := http1wire.Head(in, limits, http1wire.BeginsAnswer)
	if err != nil {
		return nil, in, err
	}
	r := &http1wire.Response{}
	err = r.Parse(in.Bytes()[:n], method, limits)
	in.Skip(n)
	return r, in, err
}

func TestResponse(t *testing.T) {
	for text, want := range map[string]http1wire.Response{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n":                                  {Code: 200, Reason: "OK", Minor: 1, Length: 3},
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n":             {Code: 200, Reason: "OK", Minor: 1, Length: 3},
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n":                            {Code: 200, Minor: 1, Length: -1},
		"HTTP/1.1 200 \r\nConnection: close\r\n":                                    {Code: 200, Minor: 1, Length: http1wire.UntilClose, Close: true},
		"HTTP/1.0 404 Not Found here\r\n":                                           {Code: 404, Reason: "Not Found here", Length: http1wire.UntilClose, Close: true},
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n":                          {Code: 204, Reason: "No Content", Minor: 1},
		"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n":               {Code: 304, Reason: "Not Modified", Minor: 1},
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n":                                   {Code: 103, Reason: "Early Hints", Minor: 1},
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n": {Code: 101, Reason: "Switching Protocols", Minor: 1},
	} {
		got, _, err := readAnswer(text+"\r\n", "GET")
		if err != nil || got.Code != want.Code || got.Reason != want.Reason || got.Minor != want.Minor || got.Length != want.Length || got.Close != want.Close {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	if got, _, err := readAnswer("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "HEAD"); err != nil || got.Length != 0 || got.Fields.Get("Content-Length") != "7" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestRefusedAnswers(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
		"HTTP/1.1 200 OK\nX: a\n\n",
		"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n",
		"HTTP/1.1 200 O\x00K\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1200 OK\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "SSH-2.0-OpenSSH", "\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		_, _, err := readAnswer(text, "GET")
		if _, ok := errors.AsType[*http1wire.MalformedError](err); !ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzResponse: what is taken for an answer is one to net/http, with the same
// meaning and the same end.
func FuzzResponse(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nabc", "HTTP/1.1 204 No Content\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, in, err := readAnswer(string(text), "GET")
		if err != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), &http.Request{Method: "GET"})
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", text, err)
		}
		theirs.Header.Del("Trailer")
		if theirs.StatusCode != r.Code || !same(theirs.Header, r.Fields.Header()) {
			t.Fatalf("%q: %+v, net/http: %+v", text, r, theirs)
		}
		if r.Length != http1wire.UntilClose {
			compareBodies(t, text, in, r.Length, theirs.Body)
		}
	})
}
