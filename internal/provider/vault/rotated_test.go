package vault_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/vault"
	"secretless/internal/secret"
)

// rotating is a provider whose value changes.
type rotating struct{ value atomic.Value }

func (r *rotating) Fetch(_ context.Context, refs []string) (map[string]provider.Lease, error) {
	return map[string]provider.Lease{refs[0]: {Value: secret.Copy(r.value.Load().(string))}}, nil
}

// A secret id that its provider has cached is fetched anew when Vault refuses
// the login; one that stays the same is not tried twice.
func TestRotatedSecretID(t *testing.T) {
	var logins atomic.Int64
	server := newFault(t, "http://127.0.0.1:1")
	server.with(func(w http.ResponseWriter, r *http.Request) bool {
		var asked struct {
			SecretID string `json:"secret_id"`
		}
		switch {
		case r.URL.Path != "/v1/auth/approle/login":
			_, _ = io.WriteString(w, `{"data": {"value": "x"}}`)
		case json.NewDecoder(r.Body).Decode(&asked) != nil:
			t.Error("a login without JSON")
		default:
			logins.Add(1)
			if asked.SecretID != "new" {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			_, _ = io.WriteString(w, `{"auth": {"client_token": "t", "lease_duration": 3600}}`)
		}
		return true
	})
	source := &rotating{}
	source.value.Store("old")
	i := provider.NewInstance(provider.InstanceOptions{Name: "other", Provider: source, Cache: time.Hour})
	defer i.Close()
	setting := provider.NewSetting("vault", provider.Ref{Instance: i, Get: "id"})
	defer setting.Close()
	if v, err := setting.Get(t.Context()); err != nil { // now it is cached
		t.Fatal(err)
	} else {
		v.Wipe()
	}
	config := vault.Config{Address: server.URL, Auth: vault.Auth{AppRole: &vault.AppRole{RoleID: provider.LiteralSetting("r"), SecretID: setting}}}
	open(t, config).wantError("secret/x", false, "approle login at auth/approle/login was refused (400)")
	if n := logins.Load(); n != 1 {
		t.Errorf("%d logins with the same secret id", n)
	}
	if v, err := setting.Get(t.Context()); err != nil { // the old one is cached again
		t.Fatal(err)
	} else {
		v.Wipe()
	}
	source.value.Store("new")
	open(t, config).want("secret/x", "x")
}
