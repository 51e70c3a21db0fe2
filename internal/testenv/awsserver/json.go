package awsserver

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// actionOf names what a request asks for as policies do.
func actionOf(r *http.Request, target string, body []byte) string {
	if target != "" {
		service, operation, _ := strings.Cut(target, ".")
		switch service {
		case "secretsmanager":
			return "secretsmanager:" + operation
		case "AmazonSSM":
			return "ssm:" + operation
		}
		return target
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") != "" {
		return "sts:" + form.Get("Action")
	}
	return strings.Trim(r.URL.Path, "/")
}

// serveJSON is the protocol of Secrets Manager and Systems Manager.
func (s *Server) serveJSON(w http.ResponseWriter, r *http.Request, action string, body []byte) {
	service, _, _ := strings.Cut(action, ":")
	key, sc, bad := s.authenticate(r, service, body)
	call := Call{Action: action, Key: key.ID, Region: sc.region}
	var answer any
	if bad == nil && slices.Contains(key.Denied, action) {
		bad = refuse("AccessDeniedException", "User is not authorized to perform: %s", action)
	}
	if bad == nil {
		switch action {
		case "secretsmanager:GetSecretValue":
			answer, call.Names, bad = s.getSecretValue(body)
		case "ssm:GetParameters":
			answer, call.Names, bad = s.getParameters(body)
		default:
			bad = refuse("UnknownOperationException", "")
		}
	}
	if bad != nil {
		call.Code = bad.code
		s.note(call)
		s.answerError(w, action, bad)
		return
	}
	s.note(call)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(answer)
}

// answerError writes a refusal in the service's protocol.
func (s *Server) answerError(w http.ResponseWriter, action string, bad *refusal) {
	status := http.StatusBadRequest
	w.Header().Set("X-Amzn-Requestid", "5b1c7a52-0000-4000-8000-000000000000")
	if !strings.HasPrefix(action, "sts:") {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": bad.code, "Message": bad.message})
		return
	}
	if bad.code == "AccessDenied" {
		status = http.StatusForbidden
	}
	type inner struct {
		Type, Code, Message string
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     inner
		RequestID string `xml:"RequestId"`
	}{Error: inner{"Sender", bad.code, bad.message}, RequestID: "5b1c7a52-0000-4000-8000-000000000000"})
}
