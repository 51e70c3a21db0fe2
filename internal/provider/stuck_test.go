package provider_test

import (
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/provider"
)

// When so many lookups hang that no other is begun, an expired entry serves
// on: the youngest of those lookups may still have time.
func TestStaleEntryWhileLookupsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deaf := make(chan struct{})
		defer close(deaf)
		f := &fake{}
		c := resolve(t, f, provider.InstanceOptions{Cache: time.Second, StaleIfError: time.Hour})
		wantPassword(t, c, 1)
		time.Sleep(time.Second)
		f.set(func(f *fake) { f.deaf = deaf })
		for range 200 {
			wantPassword(t, c, 1)
			time.Sleep(100 * time.Millisecond)
		}
	})
}
