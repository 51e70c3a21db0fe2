package slab

import (
	"sync"
	"testing"
	"unsafe"
)

type value struct {
	number int
	name   string
}

func TestValuesAreZeroAndOnesOwn(t *testing.T) {
	const workers, each = 8, 1000
	var s Slab[value]
	var mu sync.Mutex
	all := map[*value]bool{}
	var owned sync.WaitGroup
	for range workers {
		owned.Go(func() {
			for range each {
				v := s.New()
				if *v != (value{}) {
					t.Error("not zero")
				}
				*v = value{1, "taken"}
				mu.Lock()
				all[v] = true
				mu.Unlock()
			}
		})
	}
	owned.Wait()
	if len(all) != workers*each {
		t.Errorf("%d values for %d callers", len(all), workers*each)
	}
}

// Values made one after the other lie side by side.
func TestValuesLieTogether(t *testing.T) {
	var s Slab[value]
	first, second := s.New(), s.New()
	if apart := uintptr(unsafe.Pointer(second)) - uintptr(unsafe.Pointer(first)); apart != unsafe.Sizeof(value{}) {
		t.Errorf("%d bytes apart", apart)
	}
}

// A value larger than what is usually allocated at a time gets its own memory.
func TestLargeValues(t *testing.T) {
	var s Slab[[2 * chunkBytes]byte]
	if a, b := s.New(), s.New(); a == b {
		t.Error("the same twice")
	}
}
