// Package message is what the proxy passes on: requests, and where their
// answers come from and go to, in the same form whoever reads and writes them.
// HTTP/1.1 in clear text is package http1's, which speaks this form; everything
// else is net/http's, and is converted here, at the border.
package message

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"slices"
	"time"

	"secretless/internal/wire/http1wire"
)

// Request is a request: as a client has sent it, or as a target is to get it.
type Request struct {
	Method string
	URL    url.URL
	Target string // what the client has written for the URL; empty towards a target
	Host   string
	Major  int // of the client's HTTP version
	Minor  int
	// Fields have neither what frames the body, except Content-Length, nor the
	// Host of HTTP/1.
	Fields http1wire.Fields
	Length int64 // of the body, -1 where it is unknown
	Body   io.ReadCloser
	// GetBody, where it is set, returns the body once more.
	GetBody func() (io.ReadCloser, error)
	// Announced are the names of trailers, in canonical spelling. Trailer has
	// them when Body has been read to its end.
	Announced []string
	Trailer   http1wire.Fields
	Close     bool // nothing follows on the connection
}

// HasBody says whether there is something to be sent behind the head.
func (r *Request) HasBody() bool { return r.Body != nil && r.Length != 0 }

// RemoveTrailers takes out announced trailers, before Body is read.
func (r *Request) RemoveTrailers(remove func(name string) bool) {
	if len(r.Announced) > 0 { // who has announced them may need the list
		r.Announced = slices.DeleteFunc(slices.Clone(r.Announced), remove)
	}
	r.Trailer.DelFunc(remove)
}

// Response is the answer of a target.
type Response struct {
	Code int
	// Fields have nothing that frames the body, except Content-Length. They are
	// the reader's until Body is closed, and not to be used after that.
	Fields http1wire.Fields
	Length int64         // of the body, -1 where it is unknown
	Body   io.ReadCloser // to be closed; with 101 an io.ReadWriteCloser
	// Announced and Trailer are as in Request.
	Announced []string
	Trailer   http1wire.Fields
	TLS       *tls.ConnectionState // of the connection that it came on
}

// Inform is called with the interim answers (1xx) of a target. The fields are
// the callee's until it returns.
type Inform func(code int, fields *http1wire.Fields) error

// Writer takes the answer to a request. It belongs to whoever answers; the
// deadlines may be set by anybody.
type Writer interface {
	// WriteHead writes a head: any number with 1xx, then one other. What is about
	// the connection is the Writer's and not written, but "Connection: close"
	// makes the answer the last.
	WriteHead(code int, fields http1wire.Fields)
	// Write adds to the body. What is written may be kept until Flush returns or
	// the answer is whole; behind an error, for longer.
	Write(p []byte) (int, error)
	// Flush sends what is there.
	Flush() error
	// Trailer is what is sent behind the body, when all of it was written.
	Trailer(fields http1wire.Fields)
	// SetReadDeadline and SetWriteDeadline bound the request's body and the
	// answer. Nothing follows an answer that has them.
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	// Hijack takes the connection over, and returns what was read ahead of it.
	Hijack() (conn net.Conn, early []byte, err error)
}

// Handler answers one request. The request, its fields and the Writer are used
// again for the connection's next request: none of them may be kept, nor the
// body be read, when it has returned.
type Handler func(ctx context.Context, w Writer, r *Request)
