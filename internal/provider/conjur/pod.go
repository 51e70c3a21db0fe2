package conjur

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	podKeyBits = 2048
	// certMargin is how long before its end a certificate is not used any more.
	certMargin = 30 * time.Second
	certPoll   = 100 * time.Millisecond
)

// podCertificate is what authn-k8s identifies a pod by: Conjur, asked for it,
// writes a client certificate into the pod's file system through the Kubernetes
// API. The session's lock guards it.
type podCertificate struct {
	key    *rsa.PrivateKey
	client *http.Client
	until  time.Time
}

func (p *podCertificate) close() {
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
}

// byPod is the authenticator authn-k8s.
func (s *session) byPod(ctx context.Context) (*token, error) {
	if err := s.checkPod(); err != nil {
		return nil, err
	}
	base, err := authenticatorURL(s.id.AuthnURL, s.id.base)
	if err != nil {
		return nil, because("%w", err)
	}
	if s.pod.client == nil || !time.Now().Before(s.pod.until) {
		if err := s.inject(ctx, base); err != nil {
			return nil, err
		}
	}
	address := base + "/" + escape(s.id.Account) + "/" + escape(s.id.Login) + "/authenticate"
	t, err := s.ask(ctx, s.pod.client, address, "text/plain", http.NoBody,
		"Conjur does not accept the pod's certificate; check the annotations of the host and the authenticator's permissions")
	if isDenied(err) {
		s.pod.close()
		s.pod.client = nil // another certificate next time
	}
	return t, err
}

func (s *session) checkPod() error {
	switch {
	case !strings.HasPrefix(s.id.Login, "host/"):
		return because("authn-k8s needs CONJUR_AUTHN_LOGIN, or login, to be a host: host/…")
	case s.id.PodName == "" || s.id.PodNamespace == "":
		return because("authn-k8s needs MY_POD_NAME and MY_POD_NAMESPACE; set them from the pod's fields metadata.name and metadata.namespace")
	}
	return nil
}

// inject asks for a certificate and waits for its file.
func (s *session) inject(ctx context.Context, base string) error {
	request, err := s.pod.request(s.id)
	if err != nil {
		return because("the certificate request of authn-k8s could not be made")
	}
	// One from before would be of another key.
	if err := os.Remove(s.id.ClientCertFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return because("removing the old %s: %w; the broker's user must be able to write its directory", s.id.ClientCertFile, cause(err))
	}
	prefix, _ := splitHost(s.id.Login)
	const what = "asking for a client certificate"
	a, err := send(ctx, s.client, http.MethodPost, base+"/inject_client_cert",
		map[string]string{"Content-Type": "text/plain", "Host-Id-Prefix": prefix}, strings.NewReader(request))
	if err != nil {
		return unreachable(ctx, what, err)
	}
	clear(a.body)
	if r := troubled(a.status); r != nil {
		return r
	}
	if a.status != http.StatusOK && a.status != http.StatusAccepted {
		return because("Conjur gives this pod no client certificate (HTTP %d); check the host's annotations, and Conjur's log", a.status)
	}
	return s.takeCertificate(ctx)
}

// request makes a key, the first time, and a certificate request with the
// pod's SPIFFE id.
func (p *podCertificate) request(id identity) (string, error) {
	if p.key == nil {
		key, err := rsa.GenerateKey(rand.Reader, podKeyBits)
		if err != nil {
			return "", err
		}
		p.key = key
	}
	_, suffix := splitHost(id.Login)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:            pkix.Name{CommonName: suffix},
		SignatureAlgorithm: x509.SHA256WithRSA,
		URIs:               []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/namespace/" + id.PodNamespace + "/podname/" + id.PodName}},
	}, p.key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// splitHost is how Conjur wants a host's name: what stands before its last
// part, or its last three, and those, with dots for slashes.
func splitHost(login string) (prefix, suffix string) {
	parts := strings.Split(login, "/")
	last := 1
	if len(parts) >= 4 {
		last = 3
	}
	return strings.Join(parts[:len(parts)-last], "."), strings.Join(parts[len(parts)-last:], ".")
}

// takeCertificate waits for the file, which the other side writes after it has
// answered, and removes it.
func (s *session) takeCertificate(ctx context.Context) error {
	tick := time.NewTicker(certPoll)
	defer tick.Stop()
	for {
		cert, err := s.pod.load(s.id.ClientCertFile)
		if err == nil {
			return s.useCertificate(cert)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return because("Conjur put no client certificate at %s: %w; see Conjur's log, and raise the provider's timeout if it is just slow", s.id.ClientCertFile, ctx.Err())
		}
	}
}

func (p *podCertificate) load(path string) (tls.Certificate, error) {
	b, err := readFile(path)
	if err != nil {
		return tls.Certificate{}, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return tls.Certificate{}, errors.New("no certificate yet") // half written
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return tls.Certificate{}, err
	}
	if !p.key.PublicKey.Equal(leaf.PublicKey) {
		return tls.Certificate{}, errors.New("certificate of another key")
	}
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: p.key, Leaf: leaf}, nil
}

func (s *session) useCertificate(cert tls.Certificate) error {
	if err := os.Remove(s.id.ClientCertFile); err != nil {
		return because("removing %s: %w", s.id.ClientCertFile, cause(err))
	}
	client, err := newClient(s.id, s.env, &cert)
	if err != nil {
		return err
	}
	s.pod.close()
	s.pod.client, s.pod.until = client, cert.Leaf.NotAfter.Add(-certMargin)
	return nil
}
