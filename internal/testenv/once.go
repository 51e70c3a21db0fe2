package testenv

import "sync"

// once makes something when it is first asked for, and keeps the error if it
// cannot be made.
type once[T any] struct {
	sync.Once
	value T
	err   error
}

func (o *once[T]) get(make func() (T, error)) (T, error) {
	o.Do(func() { o.value, o.err = make() })
	return o.value, o.err
}

// sharedBy returns the entry of a map for a wish, the same for equal wishes.
// The caller holds the map's lock.
func sharedBy[K comparable, T any](all map[K]*once[T], want K) *once[T] {
	o := all[want]
	if o == nil {
		o = &once[T]{}
		all[want] = o
	}
	return o
}
