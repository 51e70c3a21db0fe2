package exec

import (
	"encoding/base64"
	"strings"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// parseAnswer reads what a command has printed:
//
//	{"id": "value", "id": {"value": "…", "expires": "RFC 3339"}, "id": {"base64": "…"}, "id": null}
//
// An id that is null is left out. The leases belong to the caller on error
// too: they are what was read until then.
func parseAnswer(text []byte) (map[string]provider.Lease, error) {
	s := &scanner{text: text}
	leases := map[string]provider.Lease{}
	if s.end() {
		return leases, ErrNothing
	}
	seen := map[string]bool{}
	err := s.object(func(id string) error {
		if seen[id] {
			return s.problem("the same id stands there twice")
		}
		seen[id] = true
		l, ok, err := s.lease()
		if ok {
			leases[id] = l
		}
		return err
	})
	if err == nil && !s.end() {
		err = s.problem("something follows the JSON object")
	}
	return leases, err
}

// lease reads a value in one of its forms; ok is false for null. The lease may
// hold something on error.
func (s *scanner) lease() (l provider.Lease, ok bool, err error) {
	switch s.peek() {
	case '"':
		l.Value, err = s.secret()
		return l, err == nil, err
	case '{':
		l, err = s.fields()
		return l, true, err
	case 'n':
		return l, false, s.null()
	}
	return l, false, s.problem(`a value must be a "string", {"value": "…"}, {"base64": "…"} or null; numbers go into quotes too`)
}

// fields reads the long form of a value.
func (s *scanner) fields() (l provider.Lease, err error) {
	valued, dated := false, false
	err = s.object(func(name string) error {
		switch {
		case (name == "value" || name == "base64") && valued:
			return s.problem("a value stands there twice")
		case name == "value":
			valued = true
			l.Value, err = s.secret()
			return err
		case name == "base64":
			valued = true
			l.Value, err = s.base64()
			return err
		case name == "expires" && !dated:
			dated = true
			l.Expires, err = s.time()
			return err
		}
		return s.problem("a key is not known here; known are value, base64 and expires, each once")
	})
	if err == nil && !valued {
		err = s.problem(`an object has neither "value" nor "base64"`)
	}
	return l, err
}

func (s *scanner) secret() (secret.Value, error) {
	b, err := s.str()
	return secret.New(b), err
}

func (s *scanner) base64() (secret.Value, error) {
	start := s.at
	b, err := s.str()
	defer clear(b)
	if err != nil {
		return secret.Value{}, err
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(decoded, b)
	if err != nil {
		clear(decoded)
		s.at = start
		return secret.Value{}, s.problem("base64 is broken; the standard alphabet with padding is expected")
	}
	return secret.New(decoded[:n]), nil
}

// time reads RFC 3339, or null for none.
func (s *scanner) time() (time.Time, error) {
	if s.peek() == 'n' {
		return time.Time{}, s.null()
	}
	start := s.at
	b, err := s.str()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(string(b)))
	if err != nil {
		s.at = start
		return time.Time{}, s.problem("expires is no time of RFC 3339, such as 2030-01-02T15:04:05Z")
	}
	return t, nil
}
