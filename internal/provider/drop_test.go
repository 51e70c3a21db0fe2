package provider

import (
	"context"
	"testing"
	"testing/synctest"

	"secretless/internal/secret"
)

// However often logins are denied for another reason than the secret, the
// service is not suspended.
func TestDropDoesNotSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCredentials("db", []Ref{{Name: "password", Literal: secret.Copy("right")}}, nil)
		defer c.Close()
		for range 50 {
			set, err := c.Get(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if c.Drop(set) {
				t.Error("a literal cannot be fetched again")
			}
			set.Wipe()
		}
	})
}
