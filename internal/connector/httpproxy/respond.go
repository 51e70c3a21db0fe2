package httpproxy

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"secretless/internal/connector/database"
)

// respond passes the target's answer on; hidden is what must not be in it.
func (x *exchange) respond(resp *http.Response, hidden []string) {
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		x.upgrade(resp, hidden)
		return
	case resp.StatusCode == http.StatusProxyAuthRequired:
		x.tell(&problem{http.StatusBadGateway, "http_protocol_error", "the target answered 407, which only a proxy may; see its log"})
		return
	}
	hider := newHider(hidden)
	removeHopByHop(resp.Header)
	body, found := hider.wrap(x.r.Method, resp)
	h := x.w.Header()
	found = hider.header(resp.Header) || found
	copyHeader(h, resp.Header)
	for _, name := range []string{"Date", "Content-Type"} {
		if _, ok := h[name]; !ok {
			h[name] = nil // keeps net/http from adding one
		}
	}
	announced := len(resp.Trailer)
	if announced > 0 && x.r.ProtoMajor == 1 {
		h.Del("Content-Length") // HTTP/1.1 has trailers behind chunks only
	}
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
	x.answered, x.status = true, resp.StatusCode
	x.w.WriteHeader(resp.StatusCode)
	err := x.copyBody(body, resp)
	if err == nil {
		hider.header(resp.Trailer)
		x.trailers(resp, announced)
		hider.done()
	}
	if found || hider.found {
		x.log().Warn("the target repeated a credential in its answer, which was replaced", "request", x.r.Method+" "+x.what())
	}
	if err != nil {
		x.log().Debug("answer broken off", "request", x.r.Method+" "+x.what(), "error", database.Clean(err.Error()))
		x.abort()
	}
	x.letGo()
}

func (x *exchange) trailers(resp *http.Response, announced int) {
	if len(resp.Trailer) == 0 {
		return
	}
	_ = x.rc.Flush() // makes net/http use chunks, which can have trailers
	h := x.w.Header()
	for name, values := range resp.Trailer {
		if len(resp.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

const copyBuffer = 32 << 10

// buffers are not given back after a failed write to a client: HTTP/2 may still
// be reading what it was given for a stream that has been reset.
var buffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

// copyBody streams the body. What has come is passed on at once unless the rest
// is known to be there, so that events and slow answers arrive in time.
func (x *exchange) copyBody(body io.Reader, resp *http.Response) error {
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		return nil
	}
	if resp.ContentLength < 0 { // a stream may begin with nothing for long
		if err := x.rc.Flush(); err != nil {
			return err
		}
	}
	if whole, ok := body.(*bytes.Reader); ok {
		n, err := whole.WriteTo(x.w)
		x.toClient += n
		return err
	}
	buf := buffers.Get().(*[]byte)
	err := x.copyThrough(*buf, body, resp.ContentLength)
	if err == nil {
		buffers.Put(buf)
	}
	return err
}

func (x *exchange) copyThrough(buf []byte, body io.Reader, length int64) error {
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, werr := x.w.Write(buf[:n]); werr != nil {
				return werr
			}
			x.toClient += int64(n)
			if err == nil && x.toClient != length {
				if ferr := x.rc.Flush(); ferr != nil {
					return ferr
				}
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// isText says whether a body of this type is looked through.
func isText(contentType string) bool {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	kind = strings.TrimSpace(kind)
	top, sub, _ := strings.Cut(kind, "/")
	switch top {
	case "", "text", "message", "multipart": // no type at all is what a careless server has
		return true
	}
	for _, t := range []string{"json", "xml", "javascript", "ecmascript", "yaml", "x-www-form-urlencoded", "graphql", "x-ndjson"} {
		if sub == t || strings.HasSuffix(sub, "+"+t) {
			return true
		}
	}
	return kind == "application/x-javascript"
}
