package httpproxy

import (
	"net/http"
	"slices"
	"strings"

	"secretless/internal/connector"
	watch "secretless/internal/stage"
	"secretless/internal/wire/http1wire"
)

// watch begins the request for whoever counts and traces requests.
func (x *exchange) watch() {
	x.ctx, x.served = x.stage.session.Request(x.life, connector.Request{Name: wellKnown(x.r.Method), From: parentOf(x.r.Fields)})
	x.trace = x.served.To
}

// unwatch ends what watch has begun.
func (x *exchange) unwatch() {
	a := connector.Answer{Status: x.status}
	if s := x.bound.service; s != nil && s.kind != "" {
		a.Service, a.Kind = s.name, s.kind
	}
	switch {
	case !x.bound.to.IsZero():
		a.Target = x.bound.to.Authority()
	case !x.asked.origin.IsZero():
		a.Target = x.asked.origin.Authority()
	}
	x.served.End(a)
}

// wellKnown is a method's name: clients can invent others.
func wellKnown(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "HTTP"
}

const (
	traceparent = "Traceparent"
	tracestate  = "Tracestate"
	// maxTracestate is far more than the 512 bytes that everybody keeps.
	maxTracestate = 4096
)

// parentOf reads the trace context of a request. One that is there twice is none.
func parentOf(f http1wire.Fields) (p watch.Parent) {
	n := 0
	for p.Traceparent = range f.All(traceparent) {
		n++
	}
	if n != 1 {
		return watch.Parent{}
	}
	if state := strings.Join(f.Values(tracestate), ","); len(state) <= maxTracestate {
		p.Tracestate = state
	}
	return p
}

// tellTrace makes the broker's span the parent of what the target does.
func (x *exchange) tellTrace(f *http1wire.Fields) {
	if x.trace.Traceparent == "" {
		return
	}
	f.Set(traceparent, x.trace.Traceparent)
	f.Del(tracestate)
	if x.trace.Tracestate != "" {
		f.Add(tracestate, x.trace.Tracestate)
	}
}
