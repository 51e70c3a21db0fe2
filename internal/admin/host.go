package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// ByName wraps the handler of an endpoint that has no other protection than to
// listen on loopback. A page in a browser on this machine may have its own name
// resolve to 127.0.0.1, which makes the endpoint part of its site and lets it
// read the answers (DNS rebinding). Whatever comes over loopback has to ask for
// an address, for localhost or for name, the one that the configuration has;
// requests from elsewhere and over unix sockets may ask for anything.
func ByName(h http.Handler, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if overLoopback(r) && !isOwn(r.Host, name) {
			refuse(w, http.StatusMisdirectedRequest,
				fmt.Errorf("the request is for %.100q: from this machine ask by address, as localhost, or by the name in the configuration", r.Host))
			return
		}
		h.ServeHTTP(w, r)
	})
}

func overLoopback(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return local != nil && local.IP.IsLoopback()
}

// isOwn judges the Host of a request, which is empty in HTTP/1.0 and never from
// a browser.
func isOwn(hostport, name string) bool {
	host := strings.ToLower(strings.TrimSuffix(hostOf(hostport), "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return true // nobody's name
	}
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		host == strings.ToLower(strings.TrimSuffix(name, "."))
}

// hostOf leaves out the port and the brackets of an address of IPv6.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// NameOf is the host of a configured address; empty for a unix socket.
func NameOf(network, address string) string {
	if network != "tcp" {
		return ""
	}
	return hostOf(address)
}
