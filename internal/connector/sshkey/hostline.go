package sshkey

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"secretless/internal/fips"
)

// The markers of known_hosts lines, sshd(8).
const (
	markAuthority = "@cert-authority"
	markRevoked   = "@revoked"
)

// hostLine is one line that names a key.
type hostLine struct {
	marker string
	// hosts is the field with names; empty where the key counts for all.
	hosts string
	key   ssh.PublicKey
}

// parseLine reads a line that is neither empty nor a comment.
func parseLine(line string) (hostLine, error) {
	var out hostLine
	fields := strings.Fields(line)
	if strings.HasPrefix(fields[0], "@") {
		if out.marker = fields[0]; out.marker != markAuthority && out.marker != markRevoked {
			return out, fmt.Errorf("the marker %q is unknown; %s and %s exist", out.marker, markAuthority, markRevoked)
		}
		fields = fields[1:]
	}
	if out.marker == "" && isKey(field(fields, 0)) {
		fields = append([]string{""}, fields...)
	}
	if !isKey(field(fields, 1)) {
		out.hosts = field(fields, 0)
		fields = fields[min(1, len(fields)):]
	}
	if !isKey(field(fields, 1)) {
		return out, errors.New("it is neither a key (type and base64), nor host names and a key as in known_hosts")
	}
	var err error
	if out.key, err = parseBase64(fields[1], fields[0]); err != nil {
		return out, err
	}
	return out, out.check()
}

func field(fields []string, i int) string {
	if i < len(fields) {
		return fields[i]
	}
	return ""
}

// wireLine is a line for a key in the wire form.
func wireLine(wire []byte) (hostLine, error) {
	key, err := parseWire(wire)
	if err != nil {
		return hostLine{}, fmt.Errorf("hostKey: %w", err)
	}
	out := hostLine{key: key}
	if err := out.check(); err != nil {
		return hostLine{}, fmt.Errorf("hostKey: %w", err)
	}
	return out, nil
}

// check refuses lines that promise more than they keep. Anything may be revoked.
func (l hostLine) check() error {
	if _, ok := l.key.(*ssh.Certificate); ok && l.marker != markRevoked {
		return errors.New("it is a certificate; give its authority's key, marked @cert-authority")
	}
	if strings.HasPrefix(l.hosts, "|") {
		if _, _, err := splitHash(l.hosts); err != nil {
			return err
		}
	}
	if l.marker == markRevoked {
		return nil
	}
	return checkPublic(l.key)
}

// hostName is how known_hosts names host:port: the host alone on port 22,
// [host]:port elsewhere, in lower case.
func hostName(address string) string { return strings.ToLower(knownhosts.Normalize(address)) }

// hashName is how known_hosts hides a name. What hides it protects nothing here.
func hashName(salt []byte, name string) (sum []byte) {
	fips.Unenforced(func() {
		mac := hmac.New(sha1.New, salt)
		mac.Write([]byte(name))
		sum = mac.Sum(nil)
	})
	return sum
}

// matches says whether the line is about the host of that hostName.
func (l hostLine) matches(name string) bool {
	if l.hosts == "" {
		return true
	}
	if strings.HasPrefix(l.hosts, "|") {
		salt, hash, err := splitHash(l.hosts)
		return err == nil && hmac.Equal(hashName(salt, name), hash)
	}
	matched := false
	for pattern := range strings.SplitSeq(strings.ToLower(l.hosts), ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if glob(pattern, name) {
			if negated {
				return false
			}
			matched = true
		}
	}
	return matched
}

// splitHash reads |1|salt|hash: the HMAC-SHA1 of the name, which hides names
// and secures nothing.
func splitHash(field string) (salt, hash []byte, err error) {
	parts := strings.Split(field, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return nil, nil, errors.New("the hashed host name is not of the form |1|salt|hash")
	}
	salt, saltErr := base64.StdEncoding.DecodeString(parts[2])
	hash, hashErr := base64.StdEncoding.DecodeString(parts[3])
	if saltErr != nil || hashErr != nil || len(hash) != sha1.Size {
		return nil, nil, errors.New("the hashed host name is broken; is it cut off?")
	}
	return salt, hash, nil
}

// glob matches with * for any characters and ? for one. It backs up to the
// last star alone, so that no pattern takes exponential time.
func glob(pattern, name string) bool {
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
