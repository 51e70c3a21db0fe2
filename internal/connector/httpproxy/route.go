package httpproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
	"secretless/internal/wire/http1wire"
)

// bound is a service together with the origin that its rules have matched: the
// only thing in the proxy that credentials can be asked of, and a request made
// of it goes to that origin whatever else is in it. Only route makes one.
type bound struct {
	service *service
	to      origin.Origin
}

// secrets resolves the service's credentials, from the session where it has
// none of its own.
func (b bound) secrets(ctx context.Context, s *connector.Session) (*secret.Set, error) {
	set, err := b.credentials(s).Get(ctx)
	if err != nil {
		return nil, &connector.Failure{Kind: connector.KindCredentials, Err: err}
	}
	return set, nil
}

func (b bound) credentials(s *connector.Session) connector.Credentials {
	if b.service.credentials != nil {
		return b.service.credentials
	}
	return s.Credentials
}

// request binds out to the origin, in r.
func (b bound) request(r *auth.Request, out *message.Request, set *secret.Set) *auth.Request {
	return r.Bind(b.to, out, set)
}

// asked is what a client wants, as far as rules care.
type asked struct {
	origin   origin.Origin
	method   string
	url      *url.URL
	split    bool // segments and clean are known
	segments []string
	clean    bool // the path cannot mean another one
}

func ask(o origin.Origin, r *message.Request) asked {
	return asked{origin: o, method: r.Method, url: &r.URL}
}

// path takes the path apart when a rule asks about it.
func (a *asked) path() (segments []string, clean bool) {
	if !a.split {
		a.segments, a.clean = cleanSegments(a.url.EscapedPath())
		a.split = true
	}
	return a.segments, a.clean
}

// text is the URL that expressions are about, with the normalised host.
func (a *asked) text() string {
	text := a.origin.String() + a.url.EscapedPath()
	if a.url.EscapedPath() == "" {
		text += "/"
	}
	if a.url.RawQuery != "" {
		text += "?" + a.url.RawQuery
	}
	return text
}

// rank says how specific a match is. Fields decide from the first on.
type rank struct {
	kind   int // of host: exact, below a wildcard, by expression
	length int // of the wildcard's or expression's fixed text
	port   int // 1 where it is written
	path   int // segments
	method int // 1 where methods are given
}

const (
	byExpression = 1 + iota
	byWildcard
	byName
)

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.kind, o.kind), cmp.Compare(r.length, o.length), cmp.Compare(r.port, o.port),
		cmp.Compare(r.path, o.path), cmp.Compare(r.method, o.method))
}

// match is the best rank that the service has for a; zero is none.
func (s *service) match(a *asked) rank {
	var best rank
	if len(s.methods) > 0 && !slices.Contains(s.methods, a.method) {
		return best
	}
	better := func(r rank) {
		if len(s.methods) > 0 {
			r.method = 1
		}
		if r.compare(best) > 0 {
			best = r
		}
	}
	if path, ok := s.matchPath(a); ok {
		for _, p := range s.hosts {
			if p.matches(a.origin) {
				r := p.rank()
				r.path = path
				better(r)
			}
		}
	}
	if len(s.expressions) > 0 {
		s.matchText(a, better)
	}
	return best
}

// matchText tries the expressions.
func (s *service) matchText(a *asked, better func(rank)) {
	if _, clean := a.path(); !clean {
		return
	}
	text := a.text()
	for _, e := range s.expressions {
		if e.re.MatchString(text) {
			better(rank{kind: byExpression, length: len(e.prefix)})
		}
	}
}

func (p hostPattern) rank() rank {
	r := rank{kind: byName}
	if p.wildcard {
		r.kind, r.length = byWildcard, len(p.host)
	}
	if p.port != 0 {
		r.port = 1
	}
	return r
}

// matchPath returns the length of the longest of paths that covers a.
func (s *service) matchPath(a *asked) (longest int, ok bool) {
	if len(s.paths) == 0 {
		return 0, true
	}
	segments, clean := a.path()
	if !clean {
		return 0, false
	}
	for _, p := range s.paths {
		if len(p) <= len(segments) && slices.Equal(p, segments[:len(p)]) {
			longest, ok = max(longest, len(p)), true
		}
	}
	return longest, ok
}

// covers says whether any request to o could match: its tunnel must then be
// opened, because only the requests inside can tell.
func (s *service) covers(o origin.Origin) bool {
	return slices.ContainsFunc(s.hosts, func(p hostPattern) bool { return p.matches(o) }) ||
		slices.ContainsFunc(s.expressions, func(e expression) bool { return e.mayMatch(o) })
}

// router finds the service of a request.
type router struct {
	services []*service
	forward  bool
}

func newRouter(services []*service) *router {
	return &router{services, slices.ContainsFunc(services, func(s *service) bool { return s.forward })}
}

// route returns the one service that a is for, bound to where it goes; a nil
// service says that there is none. The fields are for authenticators that find
// the host themselves.
func (r *router) route(a asked, fields http1wire.Fields) (bound, error) {
	var best rank
	var room [4]*service
	found := room[:0]
	for _, s := range r.services {
		switch m := s.match(&a); {
		case m.kind == 0 || m.compare(best) < 0:
		case m.compare(best) > 0:
			best, found = m, append(found[:0], s)
		default:
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return bound{}, nil
	case 1:
		return found[0].bind(a, fields)
	}
	return bound{}, fmt.Errorf("services %q and %q match this request equally well; make one of them more specific", found[0].name, found[1].name)
}

// bind decides on the origin.
func (s *service) bind(a asked, fields http1wire.Fields) (bound, error) {
	to := a.origin
	if s.locator != nil && s.placeholder != "" && to.Host() == s.placeholder {
		var err error
		if to, err = s.locator.Locate(a.method, a.url, fields.Header()); err != nil {
			return bound{s, to}, err
		}
		if to.IsZero() {
			return bound{s, to}, errors.New("the authenticator found no host")
		}
	}
	if s.forceSSL {
		to = to.WithScheme("https")
	}
	return bound{s, to}, nil
}

// covering is the first service that could match something at o, or nil.
func (r *router) covering(o origin.Origin) *service {
	for _, s := range r.services {
		if s.covers(o) {
			return s
		}
	}
	return nil
}

// almost is what would have a service match a, which none does.
func (r *router) almost(a *asked) string {
	s := r.covering(a.origin)
	if s == nil {
		return "add its host to the hosts of a service"
	}
	if len(s.methods) > 0 && !slices.Contains(s.methods, a.method) {
		return fmt.Sprintf("service %q has its host, and not its method: add that to methods", s.name)
	}
	if _, clean := a.path(); !clean {
		return fmt.Sprintf("service %q has its host, and rules about the path, which could be read in two ways here: write it without . and .. and without needless escapes", s.name)
	}
	return fmt.Sprintf("service %q has its host, and not its path: add that to paths or authenticateURLsMatching", s.name)
}

// ties reports services that match the same requests equally well wherever
// that can be seen without a request.
func ties(services []*service) error {
	var errs []error
	for i, second := range services {
		for _, first := range services[:i] {
			key, text := tie(first, second)
			if key == "" {
				continue
			}
			errs = append(errs, &connector.MemberError{
				Service: second.name, Other: first.name,
				Err: &connector.FieldError{
					Path: []string{"config", key},
					Err:  fmt.Errorf("services %q and %q both match %s, and neither is more specific; tell them apart by hosts, paths or methods", first.name, second.name, text),
				},
			})
		}
	}
	return errors.Join(errs...)
}

func tie(a, b *service) (key, text string) {
	if !methodsMeet(a.methods, b.methods) {
		return "", ""
	}
	for _, e := range a.expressions {
		if slices.ContainsFunc(b.expressions, func(o expression) bool { return o.text == e.text }) {
			return "authenticateURLsMatching", fmt.Sprintf("%q", e.text)
		}
	}
	for _, p := range a.hosts {
		if !slices.Contains(b.hosts, p) {
			continue
		}
		if len(a.paths)+len(b.paths) == 0 {
			return "hosts", p.String()
		}
		for _, path := range a.paths {
			if slices.ContainsFunc(b.paths, func(o []string) bool { return slices.Equal(o, path) }) {
				return "paths", p.String() + "/" + strings.Join(path, "/")
			}
		}
	}
	return "", ""
}

// methodsMeet says whether some method ranks the same for both.
func methodsMeet(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}
