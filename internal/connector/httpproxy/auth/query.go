package auth

import (
	"net/url"
	"slices"
	"strings"
)

// SetQuery sends the query parameter with this value alone, behind those of the
// client, which stay byte for byte as they are except for parameters of the
// same name in any case. It hides the value from the client, see Hide.
func (r *Request) SetQuery(name, value string) {
	r.SetOpenQuery(name, value)
	r.Hide(value, url.QueryEscape(value))
}

// SetOpenQuery is SetQuery for a value that is no secret.
func (r *Request) SetOpenQuery(name, value string) {
	r.RemoveQuery(name)
	pair := url.QueryEscape(name) + "=" + url.QueryEscape(value)
	if r.out.URL.RawQuery != "" {
		pair = "&" + pair
	}
	r.out.URL.RawQuery += pair
}

// SetRawQuery replaces the whole query, for signers whose signature covers it.
func (r *Request) SetRawQuery(query string) { r.out.URL.RawQuery = query }

// RemoveQuery takes a parameter of the client out, in any case.
func (r *Request) RemoveQuery(name string) {
	raw := r.out.URL.RawQuery
	if raw == "" {
		return
	}
	var kept []string
	removed := false
	for pair := range strings.SplitSeq(raw, "&") {
		// Some servers take ; for a separator as well.
		parts := strings.Split(pair, ";")
		left := slices.DeleteFunc(parts, func(part string) bool { return isParameter(part, name) })
		if len(left) < strings.Count(pair, ";")+1 {
			removed = true
		}
		if len(left) > 0 {
			kept = append(kept, strings.Join(left, ";"))
		}
	}
	if removed {
		r.out.URL.RawQuery = strings.Join(kept, "&")
	}
}

func isParameter(part, name string) bool {
	key, _, _ := strings.Cut(part, "=")
	if decoded, err := url.QueryUnescape(key); err == nil {
		key = decoded
	}
	return strings.EqualFold(key, name)
}
