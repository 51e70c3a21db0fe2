package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"secretless/internal/secret"
)

// A fault while a lease is renewed costs the lease, and nothing else.
func TestRenewalThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		table := newLeases(slog.New(slog.NewTextHandler(&log, nil)), func(context.Context, string, map[string]any) (*envelope, error) {
			panic("c4nary")
		})
		e := &envelope{LeaseID: "database/creds/x/1", Renew: true, Data: json.RawMessage(`{"value":"c4nary"}`)}
		table.keep("database/creds/x", e, newLifetime(3600, time.Now()), 1)
		time.Sleep(45 * time.Minute)
		synctest.Wait()
		if _, ok := table.serve("database/creds/x"); ok {
			t.Error("a lease that nobody renews is given to new connections")
		}
		d, ok := table.bridge("database/creds/x")
		if !ok {
			t.Error("it is not used while Vault cannot be reached, though it is good")
		}
		d.data.Wipe()
		table.end()
		table.close(t.Context(), false) // revoking it panics, too
		for _, part := range []string{`doing="renew a lease"`, `doing="revoke a lease"`} {
			if strings.Count(log.String(), part) != 1 {
				t.Errorf("log has not one %q: %s", part, &log)
			}
		}
		if strings.Contains(log.String(), "c4nary") {
			t.Errorf("log contains a secret: %s", &log)
		}
	})
}

// granting is a method that gives a token for an hour.
type granting struct{}

func (granting) obtain(context.Context, *client) (token, error) {
	return token{value: secret.Copy("c4nary"), life: newLifetime(3600, time.Now()), renew: true}, nil
}
func (granting) given() bool { return false }
func (granting) forget()     {}

// A fault while the token is renewed is followed by another try.
func TestKeeperThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSession(nil, granting{}, slog.New(slog.NewTextHandler(&log, nil)), func(uint64, bool) {})
		p, err := s.get(t.Context()) // the client is nil, so that every request panics
		if err != nil {
			t.Fatal(err)
		}
		p.value.Wipe()
		time.Sleep(40*time.Minute + 2*maxPause) // it is renewed after 35 to 40 minutes
		revoked := s.close(t.Context())
		if n := strings.Count(log.String(), `doing="keep the token"`); n < 2 || n > 13 {
			t.Errorf("%d tries, log: %s", n, &log)
		}
		if !revoked || !strings.Contains(log.String(), `doing="revoke the token"`) || strings.Contains(log.String(), "c4nary") {
			t.Errorf("log: %s", &log)
		}
	})
}
