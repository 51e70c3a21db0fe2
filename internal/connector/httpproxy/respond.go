package httpproxy

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"secretless/internal/connector/httpproxy/message"
)

// respond passes the target's answer on; hidden is what must not be in it.
func (x *exchange) respond(resp *message.Response, hidden []string) {
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.Code == http.StatusSwitchingProtocols:
		x.upgrade(resp, hidden)
		return
	case resp.Code == http.StatusProxyAuthRequired:
		x.tell(&problem{http.StatusBadGateway, "http_protocol_error", "the target answered 407, which only a proxy may; see its log"})
		return
	}
	hider := x.hider.begin(hidden)
	removeHopByHop(&resp.Fields)
	body, found := hider.wrap(x.r.Method, resp)
	found = hider.fields(resp.Fields) || found
	resp.Announced = slices.DeleteFunc(resp.Announced, isHopByHop)
	if len(resp.Announced) > 0 && x.r.Major == 1 {
		resp.Fields.Del("Content-Length") // HTTP/1.1 has trailers behind chunks only
	}
	for _, name := range resp.Announced {
		resp.Fields.Add("Trailer", name)
	}
	x.writeHead(resp.Code, resp.Fields)
	err := x.copyBody(body, resp)
	if err == nil {
		removeHopByHop(&resp.Trailer)
		found = hider.fields(resp.Trailer) || found
		x.w.Trailer(resp.Trailer)
		hider.done()
	}
	if found || hider.found {
		x.log().Warn("the target repeated a credential in its answer, which was replaced", "request", x.what())
	}
	if err != nil {
		x.log().Debug("answer broken off", "request", x.what(), "error", transportText(err))
		x.abort()
	}
	x.letGo()
}

const copyBuffer = 32 << 10

// buffers are not given back after a failed write to a client: HTTP/2 may still
// be reading what it was given for a stream that has been reset.
var buffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

// copyBody streams the body. What has come is passed on at once unless the rest
// is known to be there, so that events and slow answers arrive in time.
func (x *exchange) copyBody(body io.Reader, resp *message.Response) error {
	if resp.Length == 0 {
		return nil
	}
	if resp.Length < 0 { // a stream may begin with nothing for long
		if err := x.w.Flush(); err != nil {
			return err
		}
	}
	if whole, ok := body.(*bytes.Reader); ok {
		n, err := whole.WriteTo(x.w)
		x.toClient += n
		return err
	}
	buf := buffers.Get().(*[]byte)
	err := x.copyThrough(*buf, body, resp.Length)
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
				if ferr := x.w.Flush(); ferr != nil {
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
