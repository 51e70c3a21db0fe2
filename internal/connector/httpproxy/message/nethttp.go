package message

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"secretless/internal/wire/http1wire"
)

// FromHTTP is a request that net/http has read, or was made for it.
func FromHTTP(r *http.Request) *Request {
	m := &Request{
		Method: r.Method, URL: *r.URL, Target: r.RequestURI, Host: r.Host, Major: r.ProtoMajor, Minor: r.ProtoMinor,
		Length: r.ContentLength, GetBody: r.GetBody, Close: r.Close,
	}
	m.Fields.AddHeader(r.Header)
	if r.Body == nil || r.Body == http.NoBody {
		return m
	}
	if m.Body = r.Body; len(r.Trailer) > 0 {
		m.Announced = slices.Sorted(maps.Keys(r.Trailer))
		m.Body = &trailed{ReadCloser: r.Body, came: func() { m.Trailer.AddHeader(r.Trailer) }}
	}
	return m
}

// trailed tells once that a body has been read to its end, behind which its
// trailer is there.
type trailed struct {
	io.ReadCloser
	came func()
}

// Read reads from the body.
func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF && t.came != nil {
		t.came()
		t.came = nil
	}
	return n, err
}

// HTTP is the request for net/http to send. Its header is a copy.
func (r *Request) HTTP(ctx context.Context) *http.Request {
	u := r.URL
	out := (&http.Request{
		Method: r.Method, URL: &u, Host: r.Host, Header: r.Fields.Header(), ContentLength: r.Length,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: r.Body, GetBody: r.GetBody, Close: r.Close,
	}).WithContext(ctx)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // keeps net/http from naming itself
	}
	if len(r.Announced) == 0 {
		return out
	}
	out.Trailer = http.Header{}
	for _, name := range r.Announced {
		out.Trailer[name] = r.Trailer.Values(name)
	}
	if r.Body != nil {
		out.Body = &trailed{ReadCloser: r.Body, came: func() { maps.Copy(out.Trailer, r.Trailer.Header()) }}
	}
	return out
}

// FromResponse is an answer that net/http has read.
func FromResponse(r *http.Response) *Response {
	m := &Response{Code: r.StatusCode, Length: r.ContentLength, Body: r.Body, TLS: r.TLS}
	m.Fields.AddHeader(r.Header)
	switch {
	case r.Body == http.NoBody:
		m.Length = 0 // also of an answer to HEAD
	case r.StatusCode != http.StatusSwitchingProtocols:
		m.Announced = slices.Sorted(maps.Keys(r.Trailer))
		m.Body = &trailed{ReadCloser: r.Body, came: func() { m.Trailer.AddHeader(r.Trailer) }}
	}
	return m
}

// ServeHTTP has a request of HTTP/2 answered.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h(r.Context(), &netWriter{w, http.NewResponseController(w)}, FromHTTP(r))
}

// netWriter is the Writer of net/http's server for HTTP/2.
type netWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// WriteHead keeps the server from adding fields of its own.
func (n *netWriter) WriteHead(code int, fields http1wire.Fields) {
	h := n.w.Header()
	clear(h)
	maps.Copy(h, fields.Header())
	if code >= http.StatusOK {
		for _, name := range []string{"Date", "Content-Type"} {
			if _, ok := h[name]; !ok {
				h[name] = nil
			}
		}
	}
	n.w.WriteHeader(code)
}

func (n *netWriter) Write(p []byte) (int, error) { return n.w.Write(p) }

func (n *netWriter) Flush() error { return n.rc.Flush() }

// Trailer sends the head first, or else the server takes the answer for one that
// ends with it.
func (n *netWriter) Trailer(fields http1wire.Fields) {
	if len(fields) == 0 {
		return
	}
	_ = n.rc.Flush() // an error comes again
	h := n.w.Header()
	for _, field := range fields {
		name := http.TrailerPrefix + field.Name // also of those that were announced
		h[name] = append(h[name], field.Value)
	}
}

func (n *netWriter) SetReadDeadline(t time.Time) error { return n.rc.SetReadDeadline(t) }

func (n *netWriter) SetWriteDeadline(t time.Time) error { return n.rc.SetWriteDeadline(t) }

// Hijack cannot be done.
func (*netWriter) Hijack() (net.Conn, []byte, error) { return nil, nil, errors.ErrUnsupported }
