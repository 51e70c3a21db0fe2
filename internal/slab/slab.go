// Package slab keeps what lives long together. The runtime's allocator puts
// values of one size side by side, whatever they are for: a few hundred bytes
// that every idle connection needs then lie scattered among what its login left
// behind, and hold on to pages that are otherwise empty.
package slab

import (
	"sync"
	"unsafe"
)

// chunkBytes is about how much is allocated at a time. It is also the most that
// one value can keep in memory, when all that were made with it have been
// dropped: there are no holes to fill, since a value that is used again could
// still be known to whoever had it before.
const chunkBytes = 4 << 10

// Slab makes values of one type, several at a time. They are garbage when
// nothing points to any of those that were made together: whoever is done with
// one should leave nothing large in it. The zero Slab is ready, and may be used
// by many goroutines at once.
type Slab[T any] struct {
	mu   sync.Mutex
	rest []T
}

// New returns a zero T.
func (s *Slab[T]) New() *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rest) == 0 {
		var one T
		s.rest = make([]T, max(1, chunkBytes/unsafe.Sizeof(one)))
	}
	made := &s.rest[0]
	s.rest = s.rest[1:]
	return made
}
