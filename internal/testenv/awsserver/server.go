// Package awsserver is a double of the parts of AWS that the broker's
// providers use: Secrets Manager, Systems Manager's Parameter Store, STS, the
// credential endpoints of instances and containers, and the SSO portal. It
// checks every signature by computing it anew, and can be told to misbehave.
package awsserver

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxRequest bounds what the double reads.
const maxRequest = 1 << 20

// Key is an access key that the double knows.
type Key struct {
	ID, Secret string
	// Token is the session token of a temporary key.
	Token string
	// Expires is when a temporary key ends; zero is never.
	Expires time.Time
	// Denied are actions ("secretsmanager:GetSecretValue") that its policy
	// does not allow.
	Denied []string
}

// Call is one request that was answered, or refused.
type Call struct {
	Action string // "secretsmanager:GetSecretValue"
	Key    string // id of the access key, if the signature was right
	Region string
	Names  []string // of secrets or parameters
	Code   string   // error code; empty for success
}

// Server is a running double.
type Server struct {
	// URL is for AWS_ENDPOINT_URL.
	URL string

	listener net.Listener
	http     *http.Server
	served   sync.WaitGroup
	ended    chan struct{}

	mu         sync.Mutex // guards what follows
	keys       map[string]Key
	secrets    map[string]*Secret
	parameters map[string]*Parameter
	roles      map[string]Role
	webTokens  map[string]bool
	sso        map[string]Key
	instance   *Key
	container  map[string]Key
	faults     []Fault
	calls      []Call
	made       int // temporary keys
}

// Start listens on 127.0.0.1; with a certificate it speaks TLS.
func Start(cert *tls.Certificate) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), listener: l, ended: make(chan struct{}),
		keys: map[string]Key{}, secrets: map[string]*Secret{}, parameters: map[string]*Parameter{}, roles: map[string]Role{},
		webTokens: map[string]bool{}, sso: map[string]Key{}, container: map[string]Key{},
	}
	if cert != nil {
		s.URL = "https://" + l.Addr().String()
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.served.Go(func() { _ = s.http.Serve(l) })
	return s, nil
}

// Close ends the double and every request under way.
func (s *Server) Close() {
	close(s.ended)
	_ = s.http.Close()
	s.served.Wait()
}

// AddKey makes a key known.
func (s *Server) AddKey(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.ID] = k
}

// RemoveKey makes it unknown again.
func (s *Server) RemoveKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
}

// Calls are those made so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Forget empties Calls.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// ServeHTTP tells the services apart as AWS's own load balancers do: by host
// there, by the shape of the request here.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return
	}
	_ = r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	target := r.Header.Get("X-Amz-Target")
	action := actionOf(r, target, body)
	if s.misbehave(w, r, action) {
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/latest/"):
		s.serveInstance(w, r)
	case strings.HasPrefix(r.URL.Path, "/container/"):
		s.serveContainer(w, r)
	case strings.HasPrefix(r.URL.Path, "/federation/"):
		s.servePortal(w, r)
	case target != "":
		s.serveJSON(w, r, action, body)
	default:
		s.serveSTS(w, r, action, body)
	}
}

func (s *Server) note(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}
