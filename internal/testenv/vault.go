package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// VaultServer is a running HashiCorp Vault with its own directory, unsealed, on
// two ports of 127.0.0.1: one plain, one with TLS by a certificate of CA. What
// it stores outlives a restart. It has no engines and methods but its own.
type VaultServer struct {
	// Root is a token that may do everything.
	Root string
	CA   *PKI
	// Port is without TLS, TLSPort with.
	Port, TLSPort int

	*daemon
	clusterPort int
	unsealKey   string

	registering sync.Mutex
	plugins     map[string]bool
}

// Vault returns the server that all tests of the process share. Tests choose
// mounts of their own, and do not seal or stop it.
func Vault(t testing.TB) *VaultServer {
	t.Helper()
	findVault(t)
	return shared(t, &env.vault, env.newVault)
}

// NewVault starts a server for this test alone, to seal, stop, kill or restart.
func NewVault(t testing.TB) *VaultServer {
	t.Helper()
	findVault(t)
	return private(t, env.newVault)
}

// vaultDir is where script/setup puts the server and its plugins.
func vaultDir() string { return filepath.Join(CacheDir(), "vault") }

func findVault(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(vaultDir(), "vault")); err != nil {
		require(t, "HashiCorp Vault")
	}
}

func (e *environment) newVault() (*VaultServer, error) {
	pki, err := e.authority()
	if err != nil {
		return nil, err
	}
	dir, err := e.newDir("vault")
	if err != nil {
		return nil, err
	}
	pair, err := pki.server(CertECDSA)
	if err != nil {
		return nil, err
	}
	s := &VaultServer{CA: pki, plugins: map[string]bool{}}
	s.daemon = newDaemon(dir, service{
		name: "Vault", ports: []*int{&s.Port, &s.TLSPort, &s.clusterPort}, program: s.program,
		ready: s.healthy(func(int) bool { return true }),
	})
	for name, text := range map[string]string{"server.crt": pair.CertPEM, "server.key": pair.KeyPEM, "ca.crt": pki.CAPEM} {
		if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(s.file("data"), 0o700); err != nil {
		return nil, err
	}
	if err := s.startSomewhere(); err != nil {
		return nil, err
	}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// Address is the URL without TLS.
func (s *VaultServer) Address() string { return fmt.Sprintf("http://127.0.0.1:%d", s.Port) }

// TLSAddress is the URL with TLS.
func (s *VaultServer) TLSAddress() string { return fmt.Sprintf("https://127.0.0.1:%d", s.TLSPort) }

// CAFile is the path of CA's certificate.
func (s *VaultServer) CAFile() string { return s.file("ca.crt") }

// Call makes a request as token and returns the answer's JSON; nil where there
// is none. A status that is no success is an error.
func (s *VaultServer) Call(method, path, token string, body any) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, s.Address()+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Vault-Token", token)
	r.Close = true // leaves no goroutine
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	var out map[string]any
	if len(answer) > 0 {
		err = json.Unmarshal(answer, &out)
	}
	return out, err
}

// Write writes as root and returns the answer's data.
func (s *VaultServer) Write(t testing.TB, path string, fields map[string]any) map[string]any {
	t.Helper()
	return s.as(t, http.MethodPut, path, fields)
}

// Read reads as root.
func (s *VaultServer) Read(t testing.TB, path string) map[string]any {
	t.Helper()
	return s.as(t, http.MethodGet, path, nil)
}

// Delete deletes as root.
func (s *VaultServer) Delete(t testing.TB, path string) {
	t.Helper()
	s.as(t, http.MethodDelete, path, nil)
}

func (s *VaultServer) as(t testing.TB, method, path string, fields map[string]any) map[string]any {
	t.Helper()
	answer, err := s.Call(method, path, s.Root, fields)
	if err != nil {
		t.Fatal(err)
	}
	if auth, ok := answer["auth"].(map[string]any); ok {
		return auth
	}
	data, _ := answer["data"].(map[string]any)
	return data
}

// Engine enables a secrets engine at a mount of its own and returns that.
func (s *VaultServer) Engine(t testing.TB, kind string, options map[string]any) string {
	t.Helper()
	mount := kind + "-" + randomName()
	s.Write(t, "sys/mounts/"+mount, map[string]any{"type": kind, "options": options})
	return mount
}

// KV enables the KV engine of a version.
func (s *VaultServer) KV(t testing.TB, version int) string {
	t.Helper()
	return s.Engine(t, "kv", map[string]any{"version": fmt.Sprint(version)})
}

// Method enables an authentication method at a mount of its own.
func (s *VaultServer) Method(t testing.TB, kind string) string {
	t.Helper()
	mount := kind + "-" + randomName()
	s.Write(t, "sys/auth/"+mount, map[string]any{"type": kind})
	return mount
}

// Policy makes a policy: one line for each path, "read,update some/path/*".
func (s *VaultServer) Policy(t testing.TB, lines ...string) string {
	t.Helper()
	var text strings.Builder
	for _, line := range lines {
		capabilities, path, _ := strings.Cut(line, " ")
		quoted := `"` + strings.ReplaceAll(capabilities, ",", `","`) + `"`
		fmt.Fprintf(&text, "path %q { capabilities = [%s] }\n", path, quoted)
	}
	name := "policy-" + randomName()
	s.Write(t, "sys/policies/acl/"+name, map[string]any{"policy": text.String()})
	return name
}

// Token makes a token; fields are those of auth/token/create.
func (s *VaultServer) Token(t testing.TB, fields map[string]any) string {
	t.Helper()
	token, _ := s.Write(t, "auth/token/create", fields)["client_token"].(string)
	if token == "" {
		t.Fatal("Vault made no token")
	}
	return token
}
