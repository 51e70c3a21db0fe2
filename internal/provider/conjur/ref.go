package conjur

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	// accessToken is the id of the token itself, which no variable can have
	// without being written as variable:accessToken.
	accessToken = "accessToken"

	kindVariable = "variable"
	maxID        = 1024
)

// ref is an id of ours: id, kind:id or account:kind:id.
type ref struct {
	account string // empty is the configured one
	kind    string
	id      string
}

// parse reads an id as the old broker does: a colon belongs to the id only
// behind the second.
func parse(text string) (ref, error) {
	r := ref{kind: kindVariable}
	switch parts := strings.SplitN(text, ":", 3); len(parts) {
	case 1:
		r.id = parts[0]
	case 2:
		r.kind, r.id = parts[0], parts[1]
	default:
		r.account, r.kind, r.id = parts[0], parts[1], parts[2]
		if r.account == "" {
			return ref{}, errors.New("account before the first : is empty; write id, kind:id or account:kind:id")
		}
	}
	switch {
	case r.id == "" || r.kind == "":
		return ref{}, errors.New("id of the variable is empty; write id, kind:id or account:kind:id")
	case len(text) > maxID:
		return ref{}, fmt.Errorf("id has more than %d bytes", maxID)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return ref{}, errors.New("id has control characters or is no Unicode text")
	case isDots(r.account) || isDots(r.kind) || isDots(r.id):
		return ref{}, errors.New("a part of the id is . or .., which no resource is called")
	case strings.ContainsAny(r.account+r.kind, "/,"):
		return ref{}, errors.New("account and kind cannot contain / or a comma; a colon in an id needs account and kind before it")
	}
	return r, nil
}

// isDots is true for what servers take out of a path.
func isDots(s string) bool { return s == "." || s == ".." }

func checkRef(text string) error {
	if text == accessToken {
		return nil
	}
	_, err := parse(text)
	return err
}

// in puts the configured account in.
func (r ref) in(account string) ref {
	if r.account == "" {
		r.account = account
	}
	return r
}

// full is what the batch request and its answer call it.
func (r ref) full() string { return r.account + ":" + r.kind + ":" + r.id }

// path is the request for it alone.
func (r ref) path() string {
	return "secrets/" + escape(r.account) + "/" + escape(r.kind) + "/" + escape(r.id)
}

// escape makes text one segment of a path, as Conjur's API wants it: with
// nothing that means something in a URL, so that a slash is one of the id.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
