package conjurserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
	"time"
)

// authenticate serves the three authenticators.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, parts []string, body string) {
	last := parts[len(parts)-1]
	switch {
	case parts[0] == "authn-k8s" && len(parts) == 3 && last == "inject_client_cert":
		s.injectCertificate(w, r, body)
	case last != "authenticate":
		w.WriteHeader(http.StatusNotFound)
	case parts[0] == "authn" && len(parts) == 4:
		s.mu.Lock()
		key := s.keys[parts[2]]
		s.mu.Unlock()
		s.answerToken(w, parts[1] == Account && key != "" && key == body, parts[2])
	case parts[0] == "authn-jwt" && (len(parts) == 4 || len(parts) == 5):
		s.mu.Lock()
		good := s.jwts[strings.TrimPrefix(body, "jwt=")]
		s.mu.Unlock()
		s.answerToken(w, parts[2] == Account && good && strings.HasPrefix(body, "jwt="), "host/by-jwt")
	case parts[0] == "authn-k8s" && len(parts) == 5:
		good := r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && parts[2] == Account &&
			strings.HasSuffix(strings.ReplaceAll(parts[3], "/", "."), r.TLS.PeerCertificates[0].Subject.CommonName)
		s.answerToken(w, good, parts[3])
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) answerToken(w http.ResponseWriter, good bool, who string) {
	if !good {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(s.Token(who)))
}

// Token makes an access token, as a sidecar would fetch one.
func (s *Server) Token(who string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	claims := map[string]any{"sub": who, "iat": now.Unix()}
	if s.life != 8*time.Minute {
		claims["exp"] = now.Add(s.life).Unix()
	}
	payload, _ := json.Marshal(claims)
	b, _ := json.Marshal(map[string]string{
		"protected": base64.StdEncoding.EncodeToString([]byte(`{"alg":"conjur.org/slosilo/v2","kid":"double"}`)),
		"payload":   base64.StdEncoding.EncodeToString(payload),
		"signature": base64.URLEncoding.EncodeToString(fmt.Appendf(nil, "signature-%d-%s", len(s.tokens), rand.Text())),
	})
	s.tokens[string(b)] = now.Add(s.life)
	return string(b)
}

// authorized checks the token that a request shows.
func (s *Server) authorized(r *http.Request) bool {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), `Token token="`)
	b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(shown, `"`))
	if !ok || err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.tokens[string(b)])
}

// authority signs the certificates of pods.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pods"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{key, cert}, err
}

func (a *authority) sign(name pkix.Name, key crypto.PublicKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// injectCertificate signs a pod's request and puts the certificate into its
// file system, after it has answered, as Conjur does through Kubernetes.
func (s *Server) injectCertificate(w http.ResponseWriter, r *http.Request, body string) {
	block, _ := pem.Decode([]byte(body))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || r.Header.Get("Host-Id-Prefix") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || request.CheckSignature() != nil || len(request.URIs) != 1 || request.URIs[0].String() != "spiffe://cluster.local/namespace/prod/podname/orders-1" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	cert, err := s.pods.sign(request.Subject, request.PublicKey)
	if err != nil || s.PodFile == "" {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_ = http.NewResponseController(w).Flush()
	_ = os.WriteFile(s.PodFile, cert, 0o600)
}
