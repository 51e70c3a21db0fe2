package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Digest identifies what the service was configured as: equal for files that
// differ only in comments, formatting, the order of keys, or defaults that are
// written out. A literal enters only through its SHA-256.
func (s Service) Digest() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%q %q", s.Name, s.Connector)
	for _, part := range listenerKeys() {
		w.WriteString(" " + part + " " + s.canonicalKey(part))
	}
	creds := slices.SortedFunc(slices.Values(s.Credentials), func(a, b Credential) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range creds {
		c.canonical(&w)
	}
	s.Config.canonical(&w)
	return sum(w.String())
}

// listenerKeys are the keys of a service that are about its addresses and
// connections, whichever connector serves them.
func listenerKeys() []string {
	return []string{"listenOn", "allow", "socket", "limits", "drain", "tls"}
}

// ListenerDifference names the first key about addresses and connections that
// s and o do not have in common: such as share an address must have all of
// them. Empty means none.
func (s Service) ListenerDifference(o Service) string {
	for _, key := range listenerKeys() {
		if s.canonicalKey(key) != o.canonicalKey(key) {
			return key
		}
	}
	return ""
}

// canonicalKey is the value of one of listenerKeys, comparable.
func (s Service) canonicalKey(key string) string {
	var w strings.Builder
	switch key {
	case "listenOn":
		for _, l := range s.Listen {
			fmt.Fprintf(&w, "%q ", l.String())
		}
	case "allow":
		if s.Allow != nil {
			fmt.Fprintf(&w, "%q %q %q", s.Allow.Users, s.Allow.Groups, s.Allow.Executables)
		}
	case "socket":
		fmt.Fprintf(&w, "%v %q %q", s.Socket.Mode, s.Socket.Owner, s.Socket.Group)
	case "limits":
		fmt.Fprintf(&w, "%v", s.Limits)
	case "drain":
		w.WriteString(s.Drain.String())
	case "tls":
		if s.TLS != nil {
			fmt.Fprintf(&w, "%q %q", s.TLS.Cert, s.TLS.ClientCA)
			s.TLS.Key.canonical(&w)
		}
	}
	return w.String()
}

// Digest identifies what the provider instance was configured as, in the same
// way.
func (p Provider) Digest() string {
	var w strings.Builder
	cache := "default"
	if p.Cache != nil {
		cache = p.Cache.String()
	}
	fmt.Fprintf(&w, "%q %q %s %v %v", p.Name, p.Type, cache, p.Timeout, p.StaleIfError)
	p.Settings.canonical(&w)
	return sum(w.String())
}

func (c Credential) canonical(w *strings.Builder) {
	fmt.Fprintf(w, " credential %q %q %q %s", c.Name, c.From, c.Get, sum(c.Literal.Bytes()))
}

func (s Section) canonical(w *strings.Builder) {
	w.WriteString(" section ")
	if s.Empty() {
		return
	}
	s.node.canonical(w, func(text string) string { return sum(text) })
}

func sum[T ~string | ~[]byte](text T) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}
