package kubernetes

import (
	"net/url"
	"strings"
	"testing"
)

func TestCheckRef(t *testing.T) {
	long := strings.Repeat("a", 64)
	for id, want := range map[string]string{
		"orders-db#password":          "",
		"orders.db.1#Pass_word.txt-2": "",
		"shop/orders-db#password":     "",
		"":                            "id is empty: write " + refForm,
		"orders-db":                   "the field is missing: write " + refForm,
		"orders-db#":                  "the field is empty: write " + refForm,
		"#password":                   `"" is no name of a secret: lower case letters, digits, - and . (write ` + refForm + ")",
		"Orders#password":             `"Orders" is no name of a secret: lower case letters, digits, - and . (write ` + refForm + ")",
		"a/b/c#password":              `"b/c" is no name of a secret: lower case letters, digits, - and . (write ` + refForm + ")",
		"../x#password":               `".." is no name of a namespace: lower case letters, digits and -`,
		"/x#password":                 `"" is no name of a namespace: lower case letters, digits and -`,
		"a.b/x#password":              `"a.b" is no name of a namespace: lower case letters, digits and -`,
		long + "/x#password":          `"` + long + `" is no name of a namespace: lower case letters, digits and -`,
		"x#a#b":                       `"a#b" is no name of a field: letters, digits and any of . - _`,
		"x#..":                        `".." is no name of a field: letters, digits and any of . - _`,
		"x#a b":                       `"a b" is no name of a field: letters, digits and any of . - _`,
	} {
		got := ""
		if err := Definition().CheckRef(id); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}

// What is accepted stays one segment of a path each, and comes back the same.
func FuzzParseRef(f *testing.F) {
	for _, seed := range []string{"a#b", "n/a#b", "../a#b", "a%2f#b", "a.#b", "a#..", "a?b#c", "ä#b", "a/b/c#d", "-a#b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		r, err := parseRef(id)
		if err != nil {
			return
		}
		back := r.secret + "#" + r.field
		if r.namespace != "" {
			back = r.namespace + "/" + back
		}
		u := (&url.URL{Scheme: "https", Host: "h"}).JoinPath("namespaces", "n"+r.namespace, "secrets", r.secret)
		if want := "https://h/namespaces/n" + r.namespace + "/secrets/" + r.secret; back != id || u.String() != want {
			t.Errorf("%q: %+v, %s", id, r, u)
		}
	})
}
