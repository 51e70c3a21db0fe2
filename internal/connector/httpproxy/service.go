package httpproxy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
)

// service is one HTTP service: what it matches, and how what it matches is
// sent. It is not changed once built.
type service struct {
	name, kind string
	// credentials is nil for a service that has its address to itself: the
	// session has them.
	credentials connector.Credentials

	authenticator auth.Authenticator
	renewer       auth.Renewer // nil if the authenticator is none
	locator       auth.Locator // nil if the authenticator is none
	placeholder   string       // host that the locator replaces

	hosts       []hostPattern
	paths       [][]string // segments
	methods     []string   // none means all
	expressions []expression

	forceSSL, allowPlaintext, redact, forward bool
	responseTimeout                           time.Duration
	refresh                                   *refreshLimit
}

// newService checks a config section.
func newService(config auth.Config, setup connector.Setup, placeholder string) (*service, error) {
	s := &service{
		name: setup.Service, placeholder: placeholder,
		forceSSL: config.ForceSSL, allowPlaintext: config.AllowPlaintext,
		forward: config.Unmatched == "forward", responseTimeout: config.ResponseTimeout,
		redact: len(config.Hosts) > 0, refresh: &refreshLimit{},
	}
	if config.Redact != nil {
		s.redact = *config.Redact
	}
	var errs []error
	if len(config.Hosts)+len(config.AuthenticateURLsMatching) == 0 {
		errs = append(errs, &connector.FieldError{
			Path: []string{"config"},
			Err:  errors.New("nothing says which requests get the credential; write for instance hosts: [api.example.com]"),
		})
	}
	if len(config.Paths) > 0 && len(config.Hosts) == 0 {
		errs = append(errs, fieldError("paths", "paths narrows hosts, and there are none"))
	}
	errs = append(errs, s.addHosts(config, setup), s.addPaths(config), s.addMethods(config), s.addExpressions(config, setup))
	if s.responseTimeout < 0 {
		errs = append(errs, fieldError("responseTimeout", "responseTimeout is negative"))
	}
	return s, errors.Join(errs...)
}

func (s *service) addHosts(config auth.Config, setup connector.Setup) error {
	var errs []error
	for _, text := range config.Hosts {
		p, err := parseHostPattern(text)
		if err != nil {
			errs = append(errs, fieldError("hosts", "hosts: %q: %v", text, err))
			continue
		}
		if p.ofEverybody() {
			warn(setup, fmt.Sprintf("%q covers domains of different owners, which would all get the credential", text), "config", "hosts")
		}
		s.hosts = append(s.hosts, p)
	}
	return errors.Join(errs...)
}

func (s *service) addPaths(config auth.Config) error {
	var errs []error
	for _, text := range config.Paths {
		segments, ok := cleanSegments(text)
		if !strings.HasPrefix(text, "/") || !ok || strings.ContainsAny(text, "?#*") {
			errs = append(errs, fieldError("paths", "paths: %q is no path as /v1 or /v1/users; it has no query, no pattern, and no . or .. in it", text))
			continue
		}
		s.paths = append(s.paths, segments)
	}
	return errors.Join(errs...)
}

func (s *service) addMethods(config auth.Config) error {
	var errs []error
	for _, text := range config.Methods {
		if !httpguts.ValidHeaderFieldName(text) || text != strings.ToUpper(text) {
			errs = append(errs, fieldError("methods", "methods: %q is no HTTP method, such as GET or POST", text))
		}
		s.methods = append(s.methods, text)
	}
	return errors.Join(errs...)
}

func (s *service) addExpressions(config auth.Config, setup connector.Setup) error {
	var errs []error
	for _, text := range config.AuthenticateURLsMatching {
		e, err := parseExpression(text)
		if err != nil {
			errs = append(errs, fieldError("authenticateURLsMatching", "authenticateURLsMatching: %v", err))
			continue
		}
		if other := e.stranger(); other != "" {
			warn(setup, fmt.Sprintf("authenticateURLsMatching: %q also matches %s, which would get the credential; use hosts, or write the dots of the host as \\. and a / behind it", text, other),
				"config", "authenticateURLsMatching")
		}
		s.expressions = append(s.expressions, e)
	}
	return errors.Join(errs...)
}

// use completes a service with its authenticator.
func (s *service) use(a auth.Authenticator) {
	s.authenticator = a
	s.renewer, _ = a.(auth.Renewer)
	s.locator, _ = a.(auth.Locator)
}

func (s *service) close() {
	if c, ok := s.authenticator.(connector.Closer); ok {
		c.Close()
	}
}

func warn(setup connector.Setup, text string, path ...string) {
	if setup.Warn != nil {
		setup.Warn(text, path...)
	}
}

func fieldError(key, format string, args ...any) error {
	return &connector.FieldError{Path: []string{"config", key}, Err: fmt.Errorf(format, args...)}
}
