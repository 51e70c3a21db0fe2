package httpproxy

import (
	"slices"
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
	var room [8]string
	named := room[:0]
	for list := range f.All("Connection") {
		for list != "" {
			var element string
			element, list, _ = strings.Cut(list, ",")
			named = append(named, strings.Trim(element, " \t"))
		}
	}
	if len(named) > len(room) {
		removeNamed(f, named)
		return
	}
	f.DelFunc(func(name string) bool {
		return isHopByHop(name) || slices.ContainsFunc(named, func(have string) bool { return http1wire.SameName(have, name) })
	})
}

// removeNamed is for more names than a request has: the time must not grow with
// their number and that of the fields.
func removeNamed(f *http1wire.Fields, named []string) {
	set := make(map[string]struct{}, len(named))
	for _, name := range named {
		set[folded(name)] = struct{}{}
	}
	f.DelFunc(func(name string) bool {
		_, found := set[folded(name)]
		return found || isHopByHop(name)
	})
}

// folded is equal for names that are the same, see http1wire.SameName.
func folded(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

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
