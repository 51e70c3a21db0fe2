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
	fmt.Fprintf(&w, "%q %q %v %v %+v ", s.Name, s.Connector, s.Drain, s.Limits, s.Socket.Mode)
	fmt.Fprintf(&w, "%q %q listen", s.Socket.Owner, s.Socket.Group)
	for _, l := range s.Listen {
		fmt.Fprintf(&w, " %q", l.String())
	}
	creds := slices.SortedFunc(slices.Values(s.Credentials), func(a, b Credential) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range creds {
		c.canonical(&w)
	}
	if s.Allow != nil {
		fmt.Fprintf(&w, " allow %q %q %q", s.Allow.Users, s.Allow.Groups, s.Allow.Executables)
	}
	if s.TLS != nil {
		fmt.Fprintf(&w, " tls %q %q", s.TLS.Cert, s.TLS.ClientCA)
		s.TLS.Key.canonical(&w)
	}
	s.Config.canonical(&w)
	return sum(w.String())
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
