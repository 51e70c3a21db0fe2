package sockio_test

import (
	"testing"

	"secretless/internal/sockio"
)

func TestNothingIsAllocated(t *testing.T) {
	near, far := pair(t, "tcp")
	s, other := sockio.Of(near), sockio.Of(far)
	message, got := []byte("ping"), make([]byte, 8)
	allocated := testing.AllocsPerRun(100, func() {
		if _, err := s.Write(message); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Read(got); err != nil {
			t.Fatal(err)
		}
	})
	if allocated > 0 {
		t.Fatalf("%v allocations for a message", allocated)
	}
}
