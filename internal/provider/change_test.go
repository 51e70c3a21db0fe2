package provider_test

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

// told keeps what OnChange was told.
type told struct {
	mu    sync.Mutex
	names [][]string
}

func (c *told) follow(t *testing.T, on *provider.Credentials) {
	on.OnChange(func(service string, names []string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if service != "s" {
			t.Errorf("service %q", service)
		}
		c.names = append(c.names, names)
	})
}

func TestChangesAreNoticed(t *testing.T) {
	value := "a"
	f := &fake{answer: func(_ int, ref string) string {
		if ref == "user" {
			return "always"
		}
		return value
	}}
	i := provider.NewInstance(provider.InstanceOptions{Name: "fake", Provider: f})
	defer i.Close()
	c := provider.NewCredentials("s", []provider.Ref{
		{Name: "username", Instance: i, Get: "user"},
		{Name: "password", Instance: i, Get: "pw"},
		{Name: "again", Instance: i, Get: "pw"},
		{Name: "host", Literal: secret.Copy("h")},
	}, nil)
	defer c.Close()
	var got told
	got.follow(t, c)
	for _, value = range []string{"a", "a", "b", "b", "a"} {
		mustGet(t, c).Wipe()
	}
	if want := [][]string{{"again", "password"}, {"again", "password"}}; !reflect.DeepEqual(got.names, want) {
		t.Errorf("told %v, want %v", got.names, want)
	}
}

// A value that the source makes for each lookup is always another one.
func TestMadeValuesAreNoChange(t *testing.T) {
	f := &fake{lease: func(int) provider.Lease { return provider.Lease{Made: true, Expires: time.Now().Add(time.Hour)} }}
	i := provider.NewInstance(provider.InstanceOptions{Name: "fake", Provider: f, Cache: 0})
	defer i.Close()
	c := provider.NewCredentials("s", []provider.Ref{{Name: "password", Instance: i, Get: "pw"}}, nil)
	defer c.Close()
	var got told
	got.follow(t, c)
	set := mustGet(t, c)
	c.Rejected(set)
	set.Wipe()
	mustGet(t, c).Wipe()
	if len(got.names) != 0 || len(f.calls) != 2 {
		t.Errorf("told %v after %d lookups", got.names, len(f.calls))
	}
}
