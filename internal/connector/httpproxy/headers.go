package httpproxy

import (
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// upgradeOf is the protocol that a message asks to change to, or changes to;
// empty for none.
func upgradeOf(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade") {
		return ""
	}
	return h.Get("Upgrade")
}

// removeHopByHop takes out what is about one connection alone (RFC 9110
// section 7.6.1), and what is between a client and its proxy.
func removeHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for name := range h {
		// Many servers take _ for -: what was removed must not come as a twin.
		switch dashed(name) {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
			"Proxy-Authentication-Info", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Http2-Settings":
			delete(h, name)
		case "Content-Length":
			if strings.Contains(name, "_") {
				delete(h, name)
			}
		}
	}
}

// dashed is a header's name with - for _. Names are canonical otherwise.
func dashed(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// outgoingHeader makes h, the header of a client's request, one for a target.
func outgoingHeader(h http.Header) {
	trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
	upgrade := upgradeOf(h)
	removeHopByHop(h)
	if trailers { // gRPC servers insist on it
		h["Te"] = []string{"trailers"}
	}
	if upgrade != "" && !strings.EqualFold(upgrade, "h2c") {
		h["Connection"] = []string{"Upgrade"}
		h["Upgrade"] = []string{upgrade}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // keeps net/http from naming itself
	}
}

// removeOverrides takes out what makes some servers act on another method or
// path than the one that the service's rules have looked at.
func (s *service) removeOverrides(h http.Header) {
	if len(s.methods)+len(s.paths)+len(s.expressions) == 0 {
		return
	}
	for name := range h {
		switch dashed(name) {
		case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
			if len(s.methods) > 0 {
				delete(h, name)
			}
		case "X-Original-Url", "X-Rewrite-Url":
			if len(s.paths)+len(s.expressions) > 0 {
				delete(h, name)
			}
		}
	}
}

// copyHeader adds src to dst, whose owner goes on using both: only slices of
// dst that are there already grow.
func copyHeader(dst, src http.Header) {
	for name, values := range src {
		if have, ok := dst[name]; ok {
			dst[name] = append(have, values...)
		} else {
			dst[name] = values
		}
	}
}

func countHeaders(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}
