package httpproxy

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"secretless/internal/connector"
	watch "secretless/internal/stage"
)

// watch begins the request for whoever counts and traces requests, and returns
// what ends it.
func (x *exchange) watch(ctx context.Context) (end func()) {
	ctx, served := x.stage.session.Request(ctx, connector.Request{Name: wellKnown(x.r.Method), From: parentOf(x.r.Header)})
	x.ctx, x.trace = ctx, served.To
	return func() {
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
		served.End(a)
	}
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
func parentOf(h http.Header) watch.Parent {
	if len(h[traceparent]) != 1 {
		return watch.Parent{}
	}
	p := watch.Parent{Traceparent: h[traceparent][0]}
	if state := strings.Join(h[tracestate], ","); len(state) <= maxTracestate {
		p.Tracestate = state
	}
	return p
}

// tellTrace makes the broker's span the parent of what the target does.
func (x *exchange) tellTrace(h http.Header) {
	if x.trace.Traceparent == "" {
		return
	}
	h[traceparent] = []string{x.trace.Traceparent}
	delete(h, tracestate)
	if x.trace.Tracestate != "" {
		h[tracestate] = []string{x.trace.Tracestate}
	}
}
