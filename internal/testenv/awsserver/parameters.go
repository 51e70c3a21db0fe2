package awsserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Parameter is one of the Parameter Store.
type Parameter struct {
	Type string // String, StringList or SecureString
	// Values are its versions, from 1 on; the last is current.
	Values []string
	Labels map[string]int
	// Locked is true if its KMS key is not open to anybody.
	Locked bool
}

// SetParameter stores or replaces a parameter by its name.
func (s *Server) SetParameter(name string, p Parameter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parameters[name] = &p
}

// ParameterARN is what the double calls a parameter.
func ParameterARN(name string) string {
	return "arn:aws:ssm:eu-west-1:123456789012:parameter/" + strings.TrimPrefix(name, "/")
}

func (s *Server) getParameters(body []byte) (any, []string, *refusal) {
	var in struct {
		Names          []string
		WithDecryption bool
	}
	if json.Unmarshal(body, &in) != nil || len(in.Names) == 0 || len(in.Names) > 10 {
		return nil, nil, refuse("ValidationException", "names must have length between 1 and 10")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := map[string]bool{}
	found, invalid := map[string]any{}, []string{}
	for _, full := range in.Names {
		name, selector := s.splitName(full)
		if asked[name] {
			return nil, in.Names, refuse("ValidationException", "duplicate parameter names")
		}
		asked[name] = true
		p := s.parameters[name]
		version, ok := p.version(selector)
		switch {
		case !ok:
			invalid = append(invalid, full)
			continue
		case p.Locked:
			return nil, in.Names, refuse("AccessDeniedException", "The ciphertext refers to a customer master key that does not exist or is not open; kms:Decrypt")
		}
		value := p.Values[version-1]
		if p.Type == "SecureString" && !in.WithDecryption {
			value = fmt.Sprintf("AQICAHh-encrypted-%d", len(value))
		}
		out := map[string]any{"Name": name, "ARN": ParameterARN(name), "Type": p.Type, "Value": value, "Version": version}
		if selector != "" {
			out["Selector"] = ":" + selector
		}
		found[name] = out
	}
	var sorted []any
	for _, name := range slices.Sorted(maps.Keys(found)) {
		sorted = append(sorted, found[name])
	}
	return map[string]any{"Parameters": sorted, "InvalidParameters": invalid}, in.Names, nil
}

// splitName takes a selector off, and turns an ARN into the name it is of.
func (s *Server) splitName(full string) (name, selector string) {
	for known := range s.parameters {
		for _, id := range []string{known, ParameterARN(known)} {
			if rest, ok := strings.CutPrefix(full, id); ok && (rest == "" || rest[0] == ':') {
				return known, strings.TrimPrefix(rest, ":")
			}
		}
	}
	return full, ""
}

func (p *Parameter) version(selector string) (int, bool) {
	if p == nil {
		return 0, false
	}
	if selector == "" {
		return len(p.Values), true
	}
	n, err := strconv.Atoi(selector)
	if err != nil {
		n = p.Labels[selector]
	}
	return n, n >= 1 && n <= len(p.Values)
}
