package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func randomName() string { return strings.ToLower(rand.Text()[:10]) }

// startSomewhere picks ports, starts and initialises; other ports if one is
// taken in between.
func (s *VaultServer) startSomewhere() error {
	var err error
	for range 10 {
		for _, port := range []*int{&s.Port, &s.TLSPort, &s.clusterPort} {
			if *port, err = freePort(false); err != nil {
				return err
			}
		}
		if err = s.start(); err == nil {
			return s.initialise()
		}
		if !strings.Contains(s.Log(), "address already in use") {
			return err
		}
	}
	return err
}

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

// start runs the server and returns when it answers.
func (s *VaultServer) start() error {
	if err := os.WriteFile(s.file("config.hcl"), []byte(s.config()), 0o600); err != nil {
		return err
	}
	log, err := os.Create(s.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(vaultDir(), "vault"), "server", "-config="+s.file("config.hcl"))
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + s.dir}
	endWithParent(cmd) // its plugins are processes
	proc, err := startProcess(cmd)
	if err != nil {
		return fmt.Errorf("start Vault: %w", err)
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	return s.wait("answer", func(status int) bool { return status != 0 })
}

// wait asks for the health until it is as wanted.
func (s *VaultServer) wait(what string, ok func(status int) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		if ok(s.health(ctx)) {
			return nil
		}
		select {
		case <-s.process().done:
			return fmt.Errorf("vault ended (%v): %s", s.proc.err, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("vault does not %s: %s", what, s.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// health is the status of sys/health; zero for none.
func (s *VaultServer) health(ctx context.Context) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Address()+"/v1/sys/health", http.NoBody)
	if err != nil {
		return 0
	}
	r.Close = true
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
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
	return s.wait("unseal", func(status int) bool { return status == http.StatusOK })
}

// Seal seals it: it answers, but gives nothing.
func (s *VaultServer) Seal(t testing.TB) {
	t.Helper()
	s.Write(t, "sys/seal", nil)
	if err := s.wait("seal", func(status int) bool { return status == http.StatusServiceUnavailable }); err != nil {
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

// Stop ends it and its plugins. It may be called on a stopped server.
func (s *VaultServer) Stop() {
	if proc := s.process(); proc != nil && proc.stop(15*time.Second, syscall.SIGTERM) != nil {
		s.Kill()
	}
}

// Kill kills it and its plugins.
func (s *VaultServer) Kill() {
	if proc := s.process(); proc != nil && !proc.ended() {
		killTree(proc.cmd.Process.Pid)
		<-proc.done
	}
}

// Restart starts it again on the same ports, unsealed, with what it had stored.
func (s *VaultServer) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	s.Unseal(t)
}

func (s *VaultServer) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}
