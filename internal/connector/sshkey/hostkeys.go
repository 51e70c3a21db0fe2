package sshkey

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// AcceptAny in place of host keys turns their verification off.
const AcceptAny = "accept-any"

// HostKeys are the keys that targets are known by. Safe for concurrent use.
type HostKeys struct {
	any   bool
	lines []hostLine
}

// ParseHostKeys reads the credential hostKey: lines as in authorized_keys (a
// type and a key), which count for every address; lines as in known_hosts,
// with hashed names and the markers @cert-authority and @revoked; the raw wire
// form of one key, or its base64; or the word accept-any. A line that cannot
// be understood is an error, because it might have been the one that revokes.
func ParseHostKeys(text []byte) (*HostKeys, error) {
	if isWire(text) {
		line, err := wireLine(text)
		return &HostKeys{lines: []hostLine{line}}, err
	}
	if strings.TrimSpace(string(text)) == AcceptAny {
		return &HostKeys{any: true}, nil
	}
	lines, err := parseLines(string(text))
	if err != nil {
		return nil, err
	}
	trusted := func(l hostLine) bool { return l.marker != markRevoked }
	if !slices.ContainsFunc(lines, trusted) {
		return nil, errors.New("hostKey: there is no key in it; give the lines that ssh-keyscan prints, once verified")
	}
	return &HostKeys{lines: lines}, nil
}

// AcceptsAny says whether every host key is taken.
func (h *HostKeys) AcceptsAny() bool { return h.any }

// Algorithms are the host key algorithms to ask of a target, for
// ssh.ClientConfig.HostKeyAlgorithms: first those of the keys known for
// address (host:port), then the others, so that a target with another key is
// told apart by its fingerprint and not by a failed negotiation. Those of
// certificates are there only if an authority is known for address. SHA-1 and
// DSA are never there.
func (h *HostKeys) Algorithms(address string) []string {
	var out []string
	name := hostName(address)
	for _, l := range h.lines {
		if l.matches(name) && l.marker == markAuthority {
			out = append(out, certificateAlgorithms()...)
			break
		}
	}
	for _, l := range h.lines {
		if l.matches(name) && l.marker == "" {
			out = append(out, signatureAlgorithms(l.key.Type())...)
		}
	}
	seen := make(map[string]bool)
	return slices.DeleteFunc(append(out, plainAlgorithms()...), func(algorithm string) bool {
		again := seen[algorithm]
		seen[algorithm] = true
		return again
	})
}

func plainAlgorithms() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
}

func certificateAlgorithms() []string {
	return []string{
		ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	}
}

func parseLines(text string) ([]hostLine, error) {
	var out []hostLine
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parsed, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("hostKey: line %d: %w", i+1, err)
		}
		out = append(out, parsed)
	}
	return out, nil
}
