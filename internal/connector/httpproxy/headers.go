package httpproxy

import (
	"strings"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// upgradeOf is the protocol that a message asks to change to, or changes to;
// empty for none.
func upgradeOf(f http1wire.Fields) string {
	if !f.HasToken("Connection", "upgrade") {
		return ""
	}
	return f.Get("Upgrade")
}

// removeHopByHop takes out what is about one connection alone (RFC 9110
// section 7.6.1), and what is between a client and its proxy.
func removeHopByHop(f *http1wire.Fields) {
	var room [4]string
	lists := room[:0]
	for _, field := range *f {
		if field.Name == "Connection" {
			lists = append(lists, field.Value)
		}
	}
	f.DelFunc(func(name string) bool {
		if isHopByHop(name) {
			return true
		}
		for _, list := range lists {
			if names(list, name) {
				return true
			}
		}
		return false
	})
}

// names says whether a list has the name, in any spelling: what is removed must
// not come as a twin.
func names(list, name string) bool {
	for list != "" {
		var element string
		element, list, _ = strings.Cut(list, ",")
		if http1wire.SameName(strings.Trim(element, " \t"), name) {
			return true
		}
	}
	return false
}

// isHopByHop says whether a field of that name is never passed on. Many servers
// take _ for -: what is removed must not come as a twin.
func isHopByHop(name string) bool {
	switch http1wire.Dashed(name) {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Authentication-Info", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Http2-Settings":
		return true
	case "Content-Length":
		return name != "Content-Length"
	}
	return false
}

// passOn makes out, which is empty, what a target is told of a client's fields,
// and returns the protocol that the client asks to change to.
func passOn(out *http1wire.Fields, in http1wire.Fields) (upgrade string) {
	*out = append(*out, in...)
	upgrade = upgradeOf(in)
	removeHopByHop(out)
	if in.HasToken("Te", "trailers") { // gRPC servers insist on it
		out.Add("Te", "trailers")
	}
	if upgrade != "" && !strings.EqualFold(upgrade, "h2c") {
		out.Add("Connection", "Upgrade")
		out.Add("Upgrade", upgrade)
	}
	return upgrade
}

// removeOverrides takes out what makes some servers act on another method or
// path than the one that the service's rules have looked at, also from the
// trailers, which some take for headers.
func (s *service) removeOverrides(out *message.Request) {
	if len(s.methods)+len(s.paths)+len(s.expressions) == 0 {
		return
	}
	out.Fields.DelFunc(s.isOverride)
	out.RemoveTrailers(s.isOverride)
}

func (s *service) isOverride(name string) bool {
	switch http1wire.Dashed(name) {
	case "X-Http-Method-Override", "X-Http-Method", "X-Method-Override":
		return len(s.methods) > 0
	case "X-Original-Url", "X-Rewrite-Url":
		return len(s.paths)+len(s.expressions) > 0
	}
	return false
}
