package awsserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	timeFormat = "20060102T150405Z"
	skew       = 5 * time.Minute
)

// refusal is an error of the API.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// scope is what an Authorization header says.
type scope struct {
	key, date, region, service string
	headers                    []string
	signature                  string
}

func readScope(header string) (scope, bool) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return scope{}, false
	}
	parts := map[string]string{}
	for _, p := range strings.Split(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		parts[key] = value
	}
	c := strings.Split(parts["Credential"], "/")
	if len(c) != 5 || c[4] != "aws4_request" {
		return scope{}, false
	}
	return scope{c[0], c[1], c[2], c[3], strings.Split(parts["SignedHeaders"], ";"), parts["Signature"]}, true
}

// authenticate finds the key of a request and computes its signature anew.
func (s *Server) authenticate(r *http.Request, service string, body []byte) (Key, scope, *refusal) {
	sc, ok := readScope(r.Header.Get("Authorization"))
	if !ok {
		return Key{}, sc, refuse("MissingAuthenticationToken", "no signature")
	}
	at, err := time.Parse(timeFormat, r.Header.Get("X-Amz-Date"))
	if err != nil || sc.service != service || !strings.HasPrefix(at.Format(timeFormat), sc.date) {
		return Key{}, sc, refuse("IncompleteSignature", "credential scope does not fit the request")
	}
	key, bad := s.known(sc.key, r.Header.Get("X-Amz-Security-Token"))
	if bad != nil {
		return Key{}, sc, bad
	}
	if d := time.Since(at); d > skew || d < -skew {
		return Key{}, sc, refuse("InvalidSignatureException", "Signature expired: %s", at)
	}
	want, err := sign(r, sc, key, at, body)
	if err != nil || subtle.ConstantTimeCompare([]byte(want), []byte(sc.signature)) != 1 {
		return Key{}, sc, refuse("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
	}
	return key, sc, nil
}

func (s *Server) known(id, token string) (Key, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[id]
	switch {
	case !ok || key.Token != token:
		return Key{}, refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	case !key.Expires.IsZero() && time.Now().After(key.Expires):
		return Key{}, refuse("ExpiredTokenException", "The security token included in the request is expired")
	}
	return key, nil
}

// sign is the signature that the request should have. The SDK's signer signs
// every header that it is shown, so it is shown those that were signed.
func sign(r *http.Request, sc scope, key Key, at time.Time, body []byte) (string, error) {
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), nil)
	if err != nil {
		return "", err
	}
	for _, name := range sc.headers {
		if name != "host" && name != "content-length" {
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	again.Host = r.Host
	if slices.Contains(sc.headers, "content-length") {
		again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), key.aws(), again, hex.EncodeToString(sum[:]), sc.service, sc.region, at)
	if err != nil {
		return "", err
	}
	computed, ok := readScope(again.Header.Get("Authorization"))
	if !ok || !slices.Equal(computed.headers, sc.headers) {
		return "", errors.New("signed headers differ")
	}
	return computed.signature, nil
}

func (k Key) aws() aws.Credentials {
	return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret, SessionToken: k.Token}
}

// Login is what an authentication token of RDS says, when its signature is
// right: the check that a database makes before it lets somebody in.
type Login struct {
	User, Host, Region, Key string
}

// CheckToken verifies a token as RDS does at a time.
func (s *Server) CheckToken(token string, now time.Time) (Login, error) {
	u, err := url.Parse("https://" + token)
	if err != nil {
		return Login{}, errors.New("token is no URL")
	}
	q := u.Query()
	c := strings.Split(q.Get("X-Amz-Credential"), "/")
	at, err := time.Parse(timeFormat, q.Get("X-Amz-Date"))
	if err != nil || len(c) != 5 || c[3] != "rds-db" || q.Get("Action") != "connect" || q.Get("X-Amz-Expires") != "900" {
		return Login{}, errors.New("token lacks what RDS asks for")
	}
	if now.After(at.Add(15*time.Minute)) || now.Before(at.Add(-skew)) {
		return Login{}, errors.New("token has expired")
	}
	key, bad := s.known(c[0], q.Get("X-Amz-Security-Token"))
	if bad != nil {
		return Login{}, bad
	}
	want := url.Values{"Action": {"connect"}, "DBUser": {q.Get("DBUser")}, "X-Amz-Expires": {"900"}}
	r, err := http.NewRequest(http.MethodGet, "https://"+u.Host+"?"+want.Encode(), nil)
	if err != nil {
		return Login{}, err
	}
	empty := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(context.Background(), key.aws(), r, hex.EncodeToString(empty[:]), "rds-db", c[2], at)
	if err != nil {
		return Login{}, err
	}
	again, err := url.Parse(signed)
	if err != nil || again.Query().Get("X-Amz-Signature") != q.Get("X-Amz-Signature") {
		return Login{}, errors.New("signature does not match")
	}
	return Login{q.Get("DBUser"), u.Host, c[2], c[0]}, nil
}
