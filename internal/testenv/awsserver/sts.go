package awsserver

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Role is a role of STS.
type Role struct {
	// Trusted are the ids of access keys that may assume it.
	Trusted    []string
	ExternalID string
	// Lifetime of the keys it gives; default an hour.
	Lifetime time.Duration
	// Denied are passed on to them.
	Denied []string
}

// SetRole stores or replaces a role by its ARN.
func (s *Server) SetRole(arn string, r Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[arn] = r
}

// SetWebToken makes a web identity's token good for every role.
func (s *Server) SetWebToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webTokens[token] = true
}

// serveSTS is the query protocol.
func (s *Server) serveSTS(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	form, _ := url.ParseQuery(string(body))
	call := Call{Action: action, Names: []string{form.Get("RoleArn")}}
	var bad *refusal
	var key Key
	switch action {
	case "sts:AssumeRole":
		var caller Key
		var sc scope
		if caller, sc, bad = s.authenticate(r, "sts", body); bad == nil {
			call.Key, call.Region = caller.ID, sc.region
			key, bad = s.assumeRole(caller, form)
		} else if bad.code == "UnrecognizedClientException" { // STS's own spelling
			bad = refuse("InvalidClientTokenId", "%s", bad.message)
		}
	case "sts:AssumeRoleWithWebIdentity":
		key, bad = s.assumeByWeb(form)
	default:
		bad = refuse("InvalidAction", "")
	}
	if bad != nil {
		call.Code = bad.code
		s.note(call)
		s.answerError(w, action, bad)
		return
	}
	s.note(call)
	answerSTS(w, form.Get("Action"), form.Get("RoleArn"), key)
}

func (s *Server) assumeRole(caller Key, form url.Values) (Key, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	role, ok := s.roles[form.Get("RoleArn")]
	if !ok || !slices.Contains(role.Trusted, caller.ID) || role.ExternalID != form.Get("ExternalId") || form.Get("RoleSessionName") == "" {
		return Key{}, refuse("AccessDenied", "User is not authorized to perform: sts:AssumeRole")
	}
	return s.issue(role), nil
}

func (s *Server) assumeByWeb(form url.Values) (Key, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	role, ok := s.roles[form.Get("RoleArn")]
	switch {
	case !s.webTokens[form.Get("WebIdentityToken")]:
		return Key{}, refuse("InvalidIdentityToken", "token is not good: %s", form.Get("WebIdentityToken"))
	case !ok:
		return Key{}, refuse("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	return s.issue(role), nil
}

// issue makes a temporary key, which is known from now on.
func (s *Server) issue(role Role) Key {
	s.made++
	life := role.Lifetime
	if life == 0 {
		life = time.Hour
	}
	k := Key{
		ID: fmt.Sprintf("ASIA%016d", s.made), Secret: fmt.Sprintf("temporary-secret-%d", s.made), Token: fmt.Sprintf("temporary-token-%d", s.made),
		Expires: time.Now().Add(life), Denied: role.Denied,
	}
	s.keys[k.ID] = k
	return k
}

func answerSTS(w http.ResponseWriter, operation, role string, k Key) {
	type text struct {
		XMLName xml.Name
		Value   string `xml:",chardata"`
	}
	element := func(name, value string) text { return text{xml.Name{Local: name}, value} }
	type nested struct {
		XMLName xml.Name
		Inner   []any
	}
	credentials := nested{xml.Name{Local: "Credentials"}, []any{
		element("AccessKeyId", k.ID), element("SecretAccessKey", k.Secret), element("SessionToken", k.Token),
		element("Expiration", k.Expires.UTC().Format(time.RFC3339)),
	}}
	user := nested{xml.Name{Local: "AssumedRoleUser"}, []any{element("Arn", role), element("AssumedRoleId", "AROA:session")}}
	w.Header().Set("Content-Type", "text/xml")
	_ = xml.NewEncoder(w).Encode(nested{
		xml.Name{Space: "https://sts.amazonaws.com/doc/2011-06-15/", Local: operation + "Response"},
		[]any{nested{xml.Name{Local: operation + "Result"}, []any{credentials, user}}},
	})
}
