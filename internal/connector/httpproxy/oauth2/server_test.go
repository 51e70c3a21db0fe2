package oauth2

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
)

const (
	theID     = "broker"
	theSecret = "s3cret/of+the client"
)

// server is an authorisation server as RFC 6749 and RFC 7523 describe it.
type server struct {
	*httptest.Server
	public *rsa.PublicKey

	mu      sync.Mutex
	refresh string // the only one that is good
	forms   []url.Values
	count   int
	// answer, if set, is given in place of a token.
	answer http.HandlerFunc
}

func newServer(t *testing.T, public *rsa.PublicKey) *server {
	t.Helper()
	s := &server{public: public, refresh: "refresh0"}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		http.Error(w, "", http.StatusMethodNotAllowed)
		return
	}
	s.forms = append(s.forms, r.PostForm)
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]any{"token_type": "Bearer", "expires_in": 3600}
	switch why := s.check(r, answer); why {
	case "":
		s.count++
		answer["access_token"] = fmt.Sprintf("access-token-%d", s.count)
		_ = json.NewEncoder(w).Encode(answer)
	default:
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": why, "error_description": "you said " + r.PostForm.Encode()})
	}
}

// check says what is wrong with a request.
func (s *server) check(r *http.Request, answer map[string]any) string {
	if r.PostForm.Get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return s.checkJWT(r.PostForm.Get("assertion"))
	}
	id, password, ok := r.BasicAuth()
	if ok { // RFC 6749, 2.3.1: form-encoded first
		id, _ = url.QueryUnescape(id)
		password, _ = url.QueryUnescape(password)
	} else {
		id, password = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != theID || password != theSecret {
		return "invalid_client"
	}
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
		return ""
	case "refresh_token":
		if r.PostForm.Get("refresh_token") != s.refresh {
			return "invalid_grant"
		}
		s.refresh += "+"
		answer["refresh_token"] = s.refresh
		return ""
	}
	return "unsupported_grant_type"
}

// checkJWT verifies the statement by hand (RFC 7515, 7523).
func (s *server) checkJWT(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return "invalid_grant"
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "invalid_grant"
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(s.public, crypto.SHA256, digest[:], signature) != nil {
		return "invalid_grant"
	}
	var claims struct {
		Iss, Sub, Aud, Scope string
		Exp                  int64
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if json.Unmarshal(text, &claims) != nil || claims.Iss != theID || claims.Sub != "alice" || claims.Aud != "https://aud.example/" ||
		claims.Scope != "read write" || claims.Exp < time.Now().Unix() {
		return "invalid_grant"
	}
	return ""
}

func (s *server) set(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *server) fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.forms)
}

func newKey(t *testing.T) (key *rsa.PrivateKey, text string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func secrets(pairs ...string) *secret.Set {
	values := map[string]secret.Value{"clientId": secret.Copy(theID)}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = secret.Copy(pairs[i+1])
	}
	return secret.NewSet(values)
}

func newRequest(t *testing.T, set *secret.Set) *auth.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Header.Set("Authorization", "Bearer mine")
	to, err := origin.Parse("https", "api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewRequest(to, message.FromHTTP(out), set)
}

// client is one that follows no redirects, as the proxy's.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
