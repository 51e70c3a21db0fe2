package httpproxy

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"golang.org/x/net/publicsuffix"

	"secretless/internal/connector/httpproxy/origin"
)

// expression is one entry of authenticateURLsMatching.
type expression struct {
	text   string
	re     *regexp.Regexp // anchored at the start
	prefix string         // what every match begins with
}

func parseExpression(text string) (expression, error) {
	re, err := regexp.Compile("^(?:" + text + ")")
	if err != nil {
		// The parentheses hide a mistake such as ")(" from the compiler.
		return expression{}, err
	}
	plain, err := regexp.Compile(strings.TrimLeft(text, "^"))
	if err != nil {
		return expression{}, err
	}
	prefix, _ := plain.LiteralPrefix()
	return expression{text: text, re: re, prefix: prefix}, nil
}

// mayMatch says whether some URL of o could match.
func (e expression) mayMatch(o origin.Origin) bool {
	root := o.String() + "/"
	return strings.HasPrefix(e.prefix, root) || strings.HasPrefix(root, e.prefix) && e.re.MatchString(root) ||
		strings.HasPrefix(root, e.prefix) && e.couldReach(o)
}

// couldReach tries longer URLs built from the expression's own texts.
func (e expression) couldReach(o origin.Origin) bool {
	for _, sample := range e.samples() {
		if u, ok := parseSample(sample); ok && u.o == o {
			return true
		}
	}
	return false
}

// stranger is a URL at a domain of somebody else that matches too, empty if
// none was found. It finds unescaped dots, a host without an end, and
// expressions that begin with .*; it cannot find everything.
func (e expression) stranger() string {
	const evil = "evil.test"
	for _, any := range []string{"https://" + evil + "/", "http://" + evil + "/"} {
		if e.re.MatchString(any) {
			return any + " (as every other URL)"
		}
	}
	for _, sample := range e.samples() {
		for _, scheme := range []string{"https://", "http://"} {
			for _, probe := range []string{scheme + evil + "/" + sample, scheme + evil + "/?" + sample} {
				if e.re.MatchString(probe) {
					return probe
				}
			}
		}
		u, ok := parseSample(sample)
		if !ok {
			continue
		}
		for _, host := range neighbours(u.o.Host(), evil) {
			probe := u.o.Scheme() + "://" + host + u.rest
			if e.re.MatchString(probe) && registrable(host) != registrable(u.o.Host()) {
				return probe
			}
		}
	}
	return ""
}

// neighbours are hosts that a careless expression for host would match.
func neighbours(host, evil string) []string {
	out := []string{host + "." + evil, host + "-" + evil, host + evil, "evil" + host}
	for i, c := range host {
		if c == '.' {
			out = append(out, host[:i]+"x"+host[i+1:])
		}
	}
	return out
}

func registrable(host string) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return domain
}

type sampleURL struct {
	o    origin.Origin
	rest string // path and query, at least /
}

func parseSample(sample string) (sampleURL, bool) {
	scheme, rest, ok := strings.Cut(sample, "://")
	if !ok {
		return sampleURL{}, false
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	o, err := origin.Parse(scheme, rest[:end])
	if err != nil {
		return sampleURL{}, false
	}
	path := rest[end:]
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return sampleURL{o, path}, true
}

// maxSamples bounds what alternatives multiply to.
const maxSamples = 32

// samples are some texts that the expression matches, one for each of its
// alternatives.
func (e expression) samples() []string {
	tree, err := syntax.Parse(e.text, syntax.Perl)
	if err != nil {
		return nil
	}
	return sampleOf(tree.Simplify())
}

func sampleOf(n *syntax.Regexp) []string {
	switch n.Op {
	case syntax.OpLiteral:
		return []string{string(n.Rune)}
	case syntax.OpCharClass:
		if len(n.Rune) == 0 {
			return nil
		}
		return []string{string(niceRune(n.Rune))}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"."} // most often a dot that should have been \.
	case syntax.OpPlus:
		if op := n.Sub[0].Op; op == syntax.OpAnyChar || op == syntax.OpAnyCharNotNL {
			return []string{"a"}
		}
		return sampleOf(n.Sub[0])
	case syntax.OpCapture:
		return sampleOf(n.Sub[0])
	case syntax.OpQuest:
		return bounded(append([]string{""}, sampleOf(n.Sub[0])...))
	case syntax.OpConcat:
		out := []string{""}
		for _, sub := range n.Sub {
			var next []string
			tails := sampleOf(sub)
			for _, head := range out {
				for _, tail := range tails {
					next = append(next, head+tail)
				}
			}
			out = bounded(next)
		}
		return out
	case syntax.OpAlternate:
		var out []string
		for _, sub := range n.Sub {
			out = append(out, sampleOf(sub)...)
		}
		return bounded(out)
	}
	return []string{""}
}

func bounded(list []string) []string { return list[:min(len(list), maxSamples)] }

// niceRune picks a letter or digit of a class where it has one.
func niceRune(ranges []rune) rune {
	for i := 0; i+1 < len(ranges); i += 2 {
		for _, r := range "a0A" {
			if ranges[i] <= r && r <= ranges[i+1] {
				return r
			}
		}
	}
	return ranges[0]
}
