package vault_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"secretless/internal/provider"
	"secretless/internal/provider/vault"
	"secretless/internal/testenv"
)

// accounts are those of the server that Vault has made for a role's path.
func accounts(t *testing.T, server *testenv.Server) int {
	t.Helper()
	var n int
	if err := server.Connect(t).QueryRow(t.Context(), "select count(*) from pg_roles where rolname like 'v-%'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func login(server *testenv.Server, user, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server.DSN(testenv.User{Name: user, Password: password}))
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// withLeases may read the path and what the provider's documentation asks for.
func withLeases(t *testing.T, v *testenv.VaultServer, address, path string) vault.Config {
	t.Helper()
	policy := v.Policy(t, "read "+path, "update sys/leases/revoke")
	return tokenConfig(address, v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"}))
}

func TestDynamicPostgres(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	server := testenv.NewPostgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "1h", MaxTTL: "2h"})
	user, password := path+"#username", path+"#password"
	fault := newFault(t, v.Address())
	s := open(t, withLeases(t, v, fault.URL, path))

	// All lookups share one account, whichever of its parts they want.
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			if _, err := s.fetch([]string{user, password, path + "#username"}[n%3]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.fetch(user, password)
	if err != nil {
		t.Fatal(err)
	}
	if err := login(server, got[user], got[password]); err != nil {
		t.Errorf("the account does not work: %v", err)
	}
	if n := fault.count(path); n != 1 || accounts(t, server) != 1 {
		t.Errorf("%d reads, %d accounts", n, accounts(t, server))
	}

	leases, err := s.Fetch(t.Context(), []string{user, password})
	if err != nil {
		t.Fatal(err)
	}
	l, p := leases[user], leases[password]
	if !l.Made || l.ID == "" || l.ID != p.ID || time.Until(l.Expires) < 59*time.Minute || time.Until(l.Expires) > time.Hour {
		t.Errorf("lease made=%v id=%q and %q, expires in %v", l.Made, l.ID, p.ID, time.Until(l.Expires))
	}
	s.Provider.(provider.LeaseKeeper).Released(l.ID)

	// A target that rejects it gets another; the old account stays, since
	// connections may use it.
	s.Provider.(provider.LeaseKeeper).Rejected(l.ID)
	other, err := s.fetch(user, password)
	if err != nil || other[user] == got[user] {
		t.Errorf("got the rejected account again, %v", err)
	}
	for _, account := range []map[string]string{got, other} {
		if err := login(server, account[user], account[password]); err != nil {
			t.Error(err)
		}
	}
	s.close()
	s.eventually("the accounts to go", func() bool { return accounts(t, server) == 0 })
	if strings.Contains(s.log.String(), got[password]) || strings.Contains(s.log.String(), "cannot revoke") {
		t.Errorf("the log:\n%s", s.log)
	}
}

// A lease under doubt is given out again if Vault still has it, and no other
// account is made.
func TestDoubtedLease(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	server := testenv.NewPostgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "1h", MaxTTL: "2h"})
	fault := newFault(t, v.Address())
	s := open(t, withLeases(t, v, fault.URL, path))
	id := path + "#username"
	fetch := func() (account, lease string) {
		leases, err := s.Fetch(t.Context(), []string{id})
		if err != nil {
			t.Fatal(err)
		}
		return string(leases[id].Value.Bytes()), leases[id].ID
	}
	first, lease := fetch()
	for range 10 {
		s.Provider.(provider.LeaseChecker).Doubted(lease)
		if account, _ := fetch(); account != first {
			t.Fatalf("another account, %s", account)
		}
	}
	if n := fault.count("sys/leases/lookup"); n < 2 || n > 5*10 || accounts(t, server) != 1 {
		t.Errorf("%d questions, %d accounts", n, accounts(t, server))
	}
	v.Write(t, "sys/leases/revoke-prefix/"+path, nil)
	s.eventually("the account to go", func() bool { return accounts(t, server) == 0 })
	s.eventually("another account", func() bool {
		s.Provider.(provider.LeaseChecker).Doubted(lease)
		account, _ := fetch()
		return account != first
	})
}

// A token of our own takes its leases along when it is revoked.
func TestDynamicWithLogin(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	server := testenv.NewPostgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "1h", MaxTTL: "2h"})
	role, _ := approle(t, v, map[string]any{"token_policies": v.Policy(t, "read "+path), "token_ttl": "1h"})
	s := open(t, vault.Config{Address: v.Address(), Auth: vault.Auth{AppRole: role}})
	if _, err := s.fetch(path + "#password"); err != nil {
		t.Fatal(err)
	}
	if n := accounts(t, server); n != 1 {
		t.Errorf("%d accounts", n)
	}
	s.close()
	s.eventually("the account to go", func() bool { return accounts(t, server) == 0 })
}

// A lease is renewed until it cannot be, and then replaced for new lookups
// while the old one still works.
func TestLeaseRenewal(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	server := testenv.NewPostgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "3s", MaxTTL: "8s"})
	user, password := path+"#username", path+"#password"
	fault := newFault(t, v.Address())
	s := open(t, withLeases(t, v, fault.URL, path))
	first, err := s.fetch(user, password)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var second map[string]string
	s.eventually("another account", func() bool {
		if second, err = s.fetch(user, password); err != nil {
			t.Fatal(err)
		}
		return second[user] != first[user]
	})
	if time.Since(began) < 3*time.Second || fault.count("sys/leases/renew") == 0 {
		t.Errorf("replaced after %v and %d renewals", time.Since(began), fault.count("sys/leases/renew"))
	}
	for name, account := range map[string]map[string]string{"old": first, "new": second} {
		if err := login(server, account[user], account[password]); err != nil {
			t.Errorf("%s account: %v", name, err)
		}
	}
}

// A lease that was revoked at Vault is noticed at the next renewal at the
// latest.
func TestRevokedLease(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	server := testenv.NewPostgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "3s", MaxTTL: "1h"})
	s := open(t, withLeases(t, v, v.Address(), path))
	first, err := s.fetch(path + "#username")
	if err != nil {
		t.Fatal(err)
	}
	v.Write(t, "sys/leases/revoke-prefix/"+path, nil)
	s.eventually("another account", func() bool {
		next, err := s.fetch(path + "#username")
		return err == nil && next[path+"#username"] != first[path+"#username"]
	})
	if !s.log.has("lease was revoked at Vault") {
		t.Errorf("the log:\n%s", s.log)
	}
}

// While Vault is gone a lease serves to its end.
func TestLeaseWithoutVault(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	server := testenv.Postgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "6s", MaxTTL: "1h"})
	fault := newFault(t, v.Address())
	s := open(t, withLeases(t, v, fault.URL, path))
	id := path + "#username"
	first, err := s.fetch(id)
	if err != nil {
		t.Fatal(err)
	}
	fault.with(status(503, `{"errors":["Vault is sealed"]}`))
	end := time.Now().Add(6 * time.Second)
	for time.Until(end) > time.Second {
		got, err := s.fetch(id)
		if err != nil || got[id] != first[id] {
			t.Fatalf("%v before the end: %v, %v", time.Until(end), got, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.eventually("the end", func() bool { _, err := s.fetch(id); return err != nil })
	s.wantError(id, true, "Vault is sealed (503)")
	fault.with(nil)
	if next, err := s.fetch(id); err != nil || next[id] == first[id] {
		t.Errorf("got %v, %v", next, err)
	}
}

// Whatever is rejected over and over leaves a bounded number of accounts.
func TestManyRejections(t *testing.T) {
	t.Parallel()
	v := testenv.Vault(t)
	server := testenv.NewPostgres(t, testenv.PG{AnyRole: true})
	path := v.PostgresRole(t, server, testenv.VaultRole{TTL: "1h", MaxTTL: "2h"})
	s := open(t, withLeases(t, v, v.Address(), path))
	for range 20 {
		leases, err := s.Fetch(t.Context(), []string{path + "#password"})
		if err != nil {
			t.Fatal(err)
		}
		s.Provider.(provider.LeaseKeeper).Rejected(leases[path+"#password"].ID)
	}
	s.eventually("the oldest to be revoked", func() bool { return accounts(t, server) <= 9 })
	s.close()
	s.eventually("the rest to go", func() bool { return accounts(t, server) == 0 })
}

func TestDynamicMariaDB(t *testing.T) {
	v := testenv.Vault(t)
	server := testenv.MariaDB(t, testenv.Maria{})
	path := v.MariaRole(t, server, testenv.VaultRole{TTL: "1h", MaxTTL: "2h"})
	s := open(t, withLeases(t, v, v.Address(), path))
	got, err := s.fetch(path+"#username", path+"#password")
	if err != nil {
		t.Fatal(err)
	}
	account := testenv.User{Name: got[path+"#username"], Password: got[path+"#password"]}
	if _, err := testenv.Connect(t, server.Config(account)); err != nil {
		t.Errorf("the account does not work: %v", err)
	}
	s.close()
	s.eventually("the account to go", func() bool {
		_, err := testenv.Connect(t, server.Config(account))
		return err != nil
	})
}

// A certificate is issued once and shared until it is about to end.
func TestPKI(t *testing.T) {
	v := testenv.Vault(t)
	mount := v.Engine(t, "pki", nil)
	v.Write(t, mount+"/root"+"/generate/internal", map[string]any{"common_name": "test root", "ttl": "87600h"})
	v.Write(t, mount+"/roles/web", map[string]any{"allow_any_name": true, "max_ttl": "24h", "allow_ip_sans": true})
	path := mount + "/issue/web?common_name=db-client&ttl=1h"
	policy := v.Policy(t, "update "+mount+"/issue/web")
	fault := newFault(t, v.Address())
	s := open(t, tokenConfig(fault.URL, v.Token(t, map[string]any{"policies": []string{policy}, "ttl": "1h"})))
	cert, key, chain, serial := path+"#certificate", path+"#private_key", path+"#ca_chain", path+"#serial_number"
	got, err := s.fetch(cert, key, chain, serial)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(got[cert]), []byte(got[key]))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(got[chain])) {
		t.Error("no certificate in the chain")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || leaf.Subject.CommonName != "db-client" {
		t.Errorf("got %v, %v", leaf, err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Error(err)
	}
	s.want(serial, got[serial]) // the same again
	if n := fault.count(mount + "/issue/web"); n != 1 {
		t.Errorf("%d issued", n)
	}
	s.wantError(mount+"/issue/web#certificate", false, "403")
	root := open(t, withToken(t, v, "root"))
	root.wantError(mount+"/issue/web#certificate", false, "(405)", "path?name=value")
	root.wantError(mount+"/issue/unknown?common_name=x#certificate", false, "refuses the request as wrong (400)")
}

// An issued certificate that is about to end is issued anew.
func TestPKIEnd(t *testing.T) {
	t.Parallel()
	var issued atomic.Int64
	fault := newFault(t, "http://127.0.0.1:1")
	fault.with(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/pki/issue/web" {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{
			"serial": fmt.Sprint(issued.Add(1)), "expiration": time.Now().Add(2 * time.Second).Unix(),
		}})
		return true
	})
	s := open(t, tokenConfig(fault.URL, "token"))
	id := "pki/issue/web?common_name=x#serial"
	s.want(id, "1")
	s.want(id, "1")
	s.eventually("another", func() bool { got, err := s.fetch(id); return err == nil && got[id] == "2" })
}
