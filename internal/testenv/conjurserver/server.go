// Package conjurserver is a double of CyberArk Conjur, made from its published
// API: authentication by API key, JWT and pod certificate, variables one by one
// and in batches. It can be told to misbehave.
package conjurserver

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Account is the organization account of every double.
const Account = "acme"

const maxRequest = 1 << 20

// Variable is a variable of Conjur; the last of its values is current.
type Variable struct {
	Values [][]byte
	// Denied is true if it may be seen but not read.
	Denied bool
}

// Kind is a way to misbehave.
type Kind int

// The ways to misbehave.
const (
	Well     Kind = iota
	Slow          // never answers
	Broken        // HTTP 500 with a text
	Busy          // HTTP 503
	Garbage       // a web page with a text, HTTP 200
	Huge          // an answer without end
	Redirect      // HTTP 302 to the text
	Hangup        // ends the connection
)

// Server is a running double.
type Server struct {
	// URL is for CONJUR_APPLIANCE_URL.
	URL string
	// PodFile is where the pod's certificate is put that it asks for.
	PodFile string
	// Old servers know nothing of base64.
	Old bool

	http   *http.Server
	served sync.WaitGroup
	ended  chan struct{}
	pods   *authority

	mu        sync.Mutex // guards what follows
	keys      map[string]string
	jwts      map[string]bool
	variables map[string]*Variable
	tokens    map[string]time.Time // by what is shown, to their end
	life      time.Duration
	fault     Kind
	faultOf   string
	faultText string
	requests  []string
}

// Start listens on 127.0.0.1; with a certificate it speaks TLS.
func Start(cert *tls.Certificate) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	pods, err := newAuthority()
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), ended: make(chan struct{}), pods: pods,
		keys: map[string]string{}, jwts: map[string]bool{}, variables: map[string]*Variable{}, tokens: map[string]time.Time{}, life: 8 * time.Minute,
	}
	if cert != nil {
		s.URL = "https://" + l.Addr().String()
		pool := x509.NewCertPool()
		pool.AddCert(pods.cert)
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12})
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

// SetKey lets a login in with an API key; empty shuts it out.
func (s *Server) SetKey(login, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[login] = key
}

// SetJWT lets a JWT in.
func (s *Server) SetJWT(jwt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jwts[jwt] = true
}

// Set stores a variable by its id.
func (s *Server) Set(id string, v Variable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.variables[Account+":variable:"+id] = &v
}

// SetTokenLife is how long tokens live from now on.
func (s *Server) SetTokenLife(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = d
}

// RevokeTokens makes every token bad.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Misbehave does so for requests whose path begins with one, until told to
// behave well.
func (s *Server) Misbehave(k Kind, path, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.faultOf, s.faultText = k, path, text
}

// Requests are the paths asked for so far.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Count counts the requests whose path begins with one.
func (s *Server) Count(path string) (n int) {
	for _, r := range s.Requests() {
		if strings.HasPrefix(r, path) {
			n++
		}
	}
	return n
}

// ServeHTTP routes by the parts of the path, in which a slash of an id is
// escaped.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	s.mu.Lock()
	s.requests = append(s.requests, path)
	s.mu.Unlock()
	if s.misbehave(w, r, path) {
		return
	}
	var parts []string
	for _, p := range strings.Split(strings.Trim(path, "/"), "/") {
		part, err := url.PathUnescape(p)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		parts = append(parts, part)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return
	}
	switch {
	case r.Method == http.MethodPost && strings.HasPrefix(parts[0], "authn"):
		s.authenticate(w, r, parts, string(body))
	case r.Method == http.MethodGet && parts[0] == "secrets":
		s.secrets(w, r, parts)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *Server) misbehave(w http.ResponseWriter, r *http.Request, path string) bool {
	s.mu.Lock()
	fault, of, text := s.fault, s.faultOf, s.faultText
	s.mu.Unlock()
	if fault == Well || !strings.HasPrefix(path, of) {
		return false
	}
	switch fault {
	case Slow:
		select {
		case <-r.Context().Done():
		case <-s.ended:
		}
	case Broken:
		http.Error(w, text, http.StatusInternalServerError)
	case Busy:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Garbage:
		_, _ = io.WriteString(w, "<html>"+text+"</html>")
	case Huge:
		chunk := strings.Repeat("x", 64<<10)
		for range 1024 { // 64 MiB
			if _, err := io.WriteString(w, chunk); err != nil {
				break
			}
		}
	case Redirect:
		w.Header().Set("Location", text)
		w.WriteHeader(http.StatusFound)
	case Hangup:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}
	return true
}
