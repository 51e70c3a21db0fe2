package awsserver

import (
	"encoding/json"
	"slices"
	"strings"
)

// Secret is one of Secrets Manager.
type Secret struct {
	ARN      string
	Versions []Version
	Deleted  bool // scheduled for deletion
	// Locked is true if its KMS key is not open to anybody.
	Locked bool
}

// Version is a version of a secret: text or, where Text is nil, bytes.
type Version struct {
	ID     string
	Stages []string
	Text   *string
	Binary []byte
}

// Text makes a version of text with the stage AWSCURRENT.
func Text(id, text string) Version {
	return Version{ID: id, Stages: []string{"AWSCURRENT"}, Text: &text}
}

// SetSecret stores or replaces a secret by its name.
func (s *Server) SetSecret(name string, sec Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[name] = &sec
}

func (s *Server) getSecretValue(body []byte) (any, []string, *refusal) {
	var in struct {
		SecretID     string `json:"SecretId"`
		VersionID    string `json:"VersionId"`
		VersionStage string
	}
	if json.Unmarshal(body, &in) != nil || in.SecretID == "" {
		return nil, nil, refuse("InvalidParameterException", "SecretId is missing")
	}
	names := []string{in.SecretID}
	s.mu.Lock()
	defer s.mu.Unlock()
	name, sec := s.findSecret(in.SecretID)
	switch {
	case sec == nil:
		return nil, names, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	case sec.Deleted:
		return nil, names, refuse("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	case sec.Locked:
		return nil, names, refuse("AccessDeniedException", "Access to KMS is not allowed")
	}
	if in.VersionStage == "" && in.VersionID == "" {
		in.VersionStage = "AWSCURRENT"
	}
	for _, v := range sec.Versions {
		if in.VersionID != "" && v.ID != in.VersionID || in.VersionStage != "" && !slices.Contains(v.Stages, in.VersionStage) {
			continue
		}
		out := map[string]any{"ARN": sec.ARN, "Name": name, "VersionId": v.ID, "VersionStages": v.Stages, "CreatedDate": 1.7e9}
		if v.Text != nil {
			out["SecretString"] = *v.Text
		} else if v.Binary != nil {
			out["SecretBinary"] = v.Binary
		}
		return out, names, nil
	}
	return nil, names, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label or version.")
}

// findSecret knows names, ARNs, and ARNs without the random end.
func (s *Server) findSecret(id string) (string, *Secret) {
	for name, sec := range s.secrets {
		if name == id || sec.ARN != "" && (sec.ARN == id || strings.HasPrefix(sec.ARN, id+"-")) {
			return name, sec
		}
	}
	return "", nil
}
