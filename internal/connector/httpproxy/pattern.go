package httpproxy

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"secretless/internal/connector/httpproxy/origin"
)

// hostPattern is one entry of hosts.
type hostPattern struct {
	host     string // as origin.Host; of a wildcard what follows "*."
	wildcard bool
	port     uint16 // zero: the scheme's
}

func parseHostPattern(text string) (hostPattern, error) {
	var p hostPattern
	rest, wildcard := strings.CutPrefix(text, "*.")
	if strings.Contains(rest, "*") {
		return p, errors.New("* stands only at the start, followed by a dot: *.example.com")
	}
	if strings.Contains(text, "/") {
		return p, errors.New("it is a host, without scheme and path")
	}
	// The scheme only supplies a port where none is written.
	o, err := origin.Parse("http", rest)
	if err != nil {
		return p, err
	}
	p.host, p.wildcard = o.Host(), wildcard
	if _, isIP := o.IP(); isIP && wildcard {
		return p, errors.New("an IP address has no subdomains")
	}
	if strings.HasSuffix(rest, ":"+strconv.Itoa(int(o.Port()))) {
		p.port = o.Port()
	}
	return p, nil
}

func (p hostPattern) matches(o origin.Origin) bool {
	if p.port != 0 && p.port != o.Port() || p.port == 0 && o.Port() != defaultPort(o) {
		return false
	}
	if p.wildcard {
		sub, ok := strings.CutSuffix(o.Host(), p.host)
		return ok && strings.HasSuffix(sub, ".")
	}
	return p.host == o.Host()
}

func defaultPort(o origin.Origin) uint16 {
	if o.Secure() {
		return 443
	}
	return 80
}

// ofEverybody is true for *.com, *.co.uk and *.github.io.
func (p hostPattern) ofEverybody() bool {
	if !p.wildcard {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(p.host)
	return suffix == p.host && (icann || strings.Contains(suffix, "."))
}

// String is the pattern as written, normalised.
func (p hostPattern) String() string {
	text := p.host
	if p.wildcard {
		text = "*." + text
	}
	if p.port != 0 {
		text += ":" + strconv.Itoa(int(p.port))
	}
	return text
}

// cleanSegments splits an escaped path and decodes its segments. It is not ok
// for a path that could mean another one for the target: with . or .. in it,
// however encoded, with what does not decode, or with characters that some
// programs drop. Only a rule about paths cares.
func cleanSegments(path string) (segments []string, ok bool) {
	segments = strings.Split(strings.Trim(path, "/"), "/")
	if strings.Trim(path, "/") == "" {
		segments = nil
	}
	if strings.HasPrefix(path, "//") {
		segments = slices.Insert(segments, 0, "")
	}
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil || ambiguous(decoded) {
			return nil, false
		}
		segments[i] = decoded
	}
	return segments, true
}

// maxLayers is how often something may be encoded over and over: more than any
// program decodes.
const maxLayers = 8

// ambiguous looks for . and .. as a segment to whoever takes \ or an encoded
// slash for a separator, ignores what follows a semicolon or ends in blanks, or
// decodes several times; and for control characters and bytes that are no UTF-8,
// which may be dropped or be a dot in a longer form.
func ambiguous(segment string) bool {
	for layer := 0; strings.Contains(segment, "%"); layer++ {
		if layer == maxLayers {
			return true
		}
		again, err := url.PathUnescape(segment)
		if err != nil || again == segment {
			break
		}
		segment = again
	}
	if !utf8.ValidString(segment) || strings.ContainsFunc(segment, unicode.IsControl) {
		return true
	}
	for part := range strings.FieldsFuncSeq(segment, func(r rune) bool { return r == '/' || r == '\\' }) {
		part, _, _ = strings.Cut(part, ";")
		if part = strings.TrimRight(part, " "); part == "." || part == ".." {
			return true
		}
	}
	return false
}
