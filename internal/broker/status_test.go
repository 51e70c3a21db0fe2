package broker

import (
	"path/filepath"
	"sync"
	"testing"
)

// An address that moves to a service of another name is never seen under a
// name that does not run.
func TestStatusDuringApply(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	b := newBroker(t)
	named := func(name string) *Service {
		return with(service(name, hello), func(s *Service) {
			s.Listen, s.Socket.Mode = []Address{{"unix", path}}, 0o600
		})
	}
	b.mustApply(t, named("a"))
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, s := range b.Status() {
					if s.Name != "a" && s.Name != "b" {
						t.Errorf("got %+v", s)
					}
				}
			}
		})
	}
	for range 300 {
		b.mustApply(t, named("b"))
		b.mustApply(t, named("a"))
	}
	close(done)
	asking.Wait()
}
