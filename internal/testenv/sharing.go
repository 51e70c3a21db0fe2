package testenv

import (
	"sync"
	"testing"
)

// server is a private server of any kind, made of daemons.
type server interface {
	// close ends it for good; an error says that it had ended by itself.
	close() error
}

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
func sharedBy[K comparable, T any](all map[K]*once[T], want K) *once[T] {
	env.mu.Lock()
	defer env.mu.Unlock()
	o := all[want]
	if o == nil {
		o = &once[T]{}
		all[want] = o
	}
	return o
}

// shared is the server that all tests of the process share; Main ends it.
func shared[S server](t testing.TB, o *once[S], make func() (S, error)) S {
	t.Helper()
	s, err := o.get(func() (S, error) {
		s, err := make()
		if err == nil {
			env.mu.Lock()
			defer env.mu.Unlock()
			env.running = append(env.running, s)
		}
		return s, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// private is a server for this test alone, which ends with it.
func private[S server](t testing.TB, make func() (S, error)) S {
	t.Helper()
	s, err := make()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
