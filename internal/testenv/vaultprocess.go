package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func randomName() string { return strings.ToLower(rand.Text()[:10]) }

// config stores in one file by raft, the only storage that is on disk and in
// the small build.
func (s *VaultServer) config() string {
	return fmt.Sprintf(`disable_mlock = true
plugin_directory = %q
api_addr = "http://127.0.0.1:%d"
cluster_addr = "http://127.0.0.1:%d"
storage "raft" {
  path = %q
  node_id = "one"
  performance_multiplier = 1
}
listener "tcp" {
  address = "127.0.0.1:%d"
  cluster_address = "127.0.0.1:%d"
  tls_disable = true
}
listener "tcp" {
  address = "127.0.0.1:%d"
  cluster_address = "127.0.0.1:%d"
  tls_cert_file = %q
  tls_key_file = %q
  tls_client_ca_file = %q
}
`, vaultDir(), s.Port, s.clusterPort, s.file("data"), s.Port, s.clusterPort, s.TLSPort, s.clusterPort,
		s.file("server.crt"), s.file("server.key"), s.file("ca.crt"))
}

func (s *VaultServer) program() (program, error) {
	config := s.file("config.hcl")
	return program{Path: filepath.Join(vaultDir(), "vault"), Args: []string{"server", "-config=" + config}},
		os.WriteFile(config, []byte(s.config()), 0o600)
}

// healthy asks for its health, whose status says what it is ready for.
func (s *VaultServer) healthy(enough func(status int) bool) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address()+"/v1/sys/health", http.NoBody)
		if err != nil {
			return err
		}
		r.Close = true
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if !enough(resp.StatusCode) {
			return errors.New("its health is " + resp.Status)
		}
		return nil
	}
}

func (s *VaultServer) initialise() error {
	answer, err := s.Call(http.MethodPut, "sys/init", "", map[string]any{"secret_shares": 1, "secret_threshold": 1})
	if err != nil {
		return err
	}
	keys, _ := answer["keys"].([]any)
	s.Root, _ = answer["root_token"].(string)
	if len(keys) != 1 || s.Root == "" {
		return errors.New("vault was not initialised")
	}
	s.unsealKey, _ = keys[0].(string)
	return s.unseal()
}

func (s *VaultServer) unseal() error {
	if _, err := s.Call(http.MethodPut, "sys/unseal", "", map[string]any{"key": s.unsealKey}); err != nil {
		return err
	}
	return s.await(s.healthy(func(status int) bool { return status == http.StatusOK }))
}

// Seal seals it: it answers, but gives nothing.
func (s *VaultServer) Seal(t testing.TB) {
	t.Helper()
	s.Write(t, "sys/seal", nil)
	if err := s.await(s.healthy(func(status int) bool { return status == http.StatusServiceUnavailable })); err != nil {
		t.Fatal(err)
	}
}

// Unseal ends that, and returns when it is ready again.
func (s *VaultServer) Unseal(t testing.TB) {
	t.Helper()
	if err := s.unseal(); err != nil {
		t.Fatal(err)
	}
}

// Restart starts it again on the same ports, unsealed, with what it had stored.
func (s *VaultServer) Restart(t testing.TB) {
	t.Helper()
	s.daemon.Restart(t)
	s.Unseal(t)
}
