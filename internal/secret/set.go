package secret

import (
	"maps"
	"slices"
)

// Set is what one connection needs to log in: credential names to values. It
// belongs to whoever resolved it, who wipes it when the handshake has ended.
type Set struct {
	values map[string]Value
	// Origin is the resolver's own note of where the set came from; nobody
	// else reads it.
	Origin any
}

// NewSet takes ownership of values.
func NewSet(values map[string]Value) *Set { return &Set{values: values} }

// Get returns the named value and whether the set has it.
func (s *Set) Get(name string) (Value, bool) {
	v, ok := s.values[name]
	return v, ok
}

// Text returns a copy of a value that is no secret (a host, a port, a mode),
// or fallback where the set has none or it is empty.
func (s *Set) Text(name, fallback string) string {
	if v := s.values[name]; v.Len() > 0 {
		return string(v.Bytes())
	}
	return fallback
}

// Names lists the names in order.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.values)) }

// Clone is a set of copies, without the origin. The caller wipes it.
func (s *Set) Clone() *Set {
	values := make(map[string]Value, len(s.values))
	for name, v := range s.values {
		values[name] = v.Clone()
	}
	return NewSet(values)
}

// Wipe wipes every value.
func (s *Set) Wipe() {
	if s == nil {
		return
	}
	for _, v := range s.values {
		v.Wipe()
	}
}
