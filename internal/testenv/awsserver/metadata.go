package awsserver

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const metadataToken = "metadata-session"

// SetInstanceKey is what the metadata service of the instance gives (the
// server's URL is for AWS_EC2_METADATA_SERVICE_ENDPOINT); nil is an instance
// without a role.
func (s *Server) SetInstanceKey(k *Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instance = k
	if k != nil {
		s.keys[k.ID] = *k
	}
}

// SetContainerKey is what <URL>/container/credentials gives to who shows the
// authorization.
func (s *Server) SetContainerKey(authorization string, k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.container[authorization] = k
	s.keys[k.ID] = k
}

// SetPortalKey is what the SSO portal gives for a token.
func (s *Server) SetPortalKey(token string, k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sso[token] = k
	s.keys[k.ID] = k
}

// serveInstance speaks version 2 of the metadata service only.
func (s *Server) serveInstance(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	k := s.instance
	s.mu.Unlock()
	const place = "/latest/meta-data/iam/security-credentials/"
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = io.WriteString(w, metadataToken)
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") != metadataToken:
		w.WriteHeader(http.StatusUnauthorized)
	case k == nil || !strings.HasPrefix(r.URL.Path, place):
		w.WriteHeader(http.StatusNotFound)
	case r.URL.Path == place:
		_, _ = io.WriteString(w, "broker")
	default:
		answerKey(w, *k, map[string]any{"Code": "Success", "Type": "AWS-HMAC"})
	}
}

func (s *Server) serveContainer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	k, ok := s.container[r.Header.Get("Authorization")]
	s.mu.Unlock()
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":"NotAllowed","message":"`+r.Header.Get("Authorization")+`"}`)
		return
	}
	answerKey(w, k, map[string]any{})
}

func answerKey(w http.ResponseWriter, k Key, out map[string]any) {
	out["AccessKeyId"], out["SecretAccessKey"], out["Token"] = k.ID, k.Secret, k.Token
	out["Expiration"] = k.Expires.UTC().Format(time.RFC3339)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// servePortal gives a role's keys to who has logged in.
func (s *Server) servePortal(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	k, ok := s.sso[r.Header.Get("X-Amz-Sso_bearer_token")]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.Header().Set("X-Amzn-Errortype", "UnauthorizedException")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"message":"Session token not found or invalid"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"roleCredentials": map[string]any{
		"accessKeyId": k.ID, "secretAccessKey": k.Secret, "sessionToken": k.Token, "expiration": k.Expires.UnixMilli(),
	}})
}
