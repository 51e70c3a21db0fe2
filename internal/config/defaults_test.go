package config

import (
	"testing"
	"time"
)

// A section that the file leaves out has the defaults of its keys.
func TestAbsentSectionsHaveDefaults(t *testing.T) {
	f, err := Parse("f.yml", []byte("version: \"2\"\nservices:\n  db: {connector: pg, listenOn: \"unix:///s\", credentials: {host: h}}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := f.Services[0]
	want := Limits{Connections: 10000, ConnectTimeout: 10 * time.Second, HandshakeTimeout: 15 * time.Second}
	if s.Limits != want || s.Drain != 30*time.Second || s.Socket.Mode != 0o600 {
		t.Errorf("limits %+v, drain %v, mode %v", s.Limits, s.Drain, s.Socket.Mode)
	}
}
