package conjur

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"secretless/internal/secret"
)

// maxQuery bounds the ids of one batch request: servers and proxies before
// them take about 8 KiB of URL.
const maxQuery = 6000

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// read brings the values of refs, by their full ids: one request for one, and
// one for many. The caller owns what it returns, on error nothing.
func (s *session) read(ctx context.Context, t token, refs []ref) (values map[string]secret.Value, err error) {
	values = map[string]secret.Value{}
	defer func() {
		if err != nil {
			for _, v := range values {
				v.Wipe()
			}
			values = nil
		}
	}()
	for _, group := range batches(refs) {
		if len(group) == 1 {
			err = s.readOne(ctx, t, group[0], values)
		} else {
			err = s.readBatch(ctx, t, group, values)
		}
		if err != nil {
			return values, err
		}
	}
	return values, nil
}

// batches puts refs into as few requests as can be. An id with a comma goes
// alone: the batch request separates ids by commas and has no way to write one.
func batches(refs []ref) (groups [][]ref) {
	size, open := 0, -1
	for _, r := range refs {
		n := len(url.QueryEscape(r.full())) + 3
		switch {
		case strings.Contains(r.full(), ","):
			groups = append(groups, []ref{r})
			continue
		case open < 0 || size+n > maxQuery:
			groups = append(groups, nil)
			open, size = len(groups)-1, 0
		}
		groups[open] = append(groups[open], r)
		size += n
	}
	return groups
}

func (s *session) readOne(ctx context.Context, t token, r ref, values map[string]secret.Value) error {
	a, err := s.get(ctx, t, s.id.base+"/"+r.path(), nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		defer clear(a.body)
		return s.explain(a, []ref{r})
	}
	values[r.full()] = secret.New(a.body)
	return nil
}

func (s *session) readBatch(ctx context.Context, t token, refs []ref, values map[string]secret.Value) error {
	ids := make([]string, len(refs))
	for i, r := range refs {
		ids[i] = r.full()
	}
	address := s.id.base + "/secrets?variable_ids=" + url.QueryEscape(strings.Join(ids, ","))
	a, err := s.get(ctx, t, address, map[string]string{"Accept-Encoding": "base64"})
	if err != nil {
		return err
	}
	defer clear(a.body)
	if a.status != http.StatusOK {
		return s.explain(a, refs)
	}
	var answered map[string]string
	if json.Unmarshal(a.body, &answered) != nil {
		return passing("the answer of Conjur cannot be read; is it a proxy's page?")
	}
	for _, r := range refs {
		text, ok := answered[r.full()]
		if !ok {
			return &reason{err: errNotFound, refs: r.full()}
		}
		if !a.base64 { // a server that is older than that
			values[r.full()] = secret.Copy(text)
			continue
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return passing("the answer of Conjur cannot be read: a value is not in base64")
		}
		values[r.full()] = secret.New(b)
	}
	return nil
}

func (s *session) get(ctx context.Context, t token, address string, header map[string]string) (answer, error) {
	if header == nil {
		header = map[string]string{}
	}
	header["Authorization"] = t.authorization()
	a, err := send(ctx, s.client, http.MethodGet, address, header, nil)
	if err != nil {
		return a, unreachable(ctx, "reading variables", err)
	}
	return a, nil
}

var errNotFound = because("there is no such variable, it has no value, or it is not visible to whom the broker logs in as; check the id, and that a value was loaded")

// explain says why a request for refs failed. An answer is searched for the
// ids that were asked for, to name the right ones; nothing else of it is used.
func (s *session) explain(a answer, refs []ref) error {
	if r := troubled(a.status); r != nil {
		return r
	}
	switch a.status {
	case http.StatusUnauthorized:
		return &reason{err: because("Conjur does not accept the access token"), denied: true}
	case http.StatusForbidden:
		return &reason{err: because("access denied: permit %s to execute this variable", s.who()), refs: named(a.body, refs)}
	case http.StatusNotFound:
		return &reason{err: errNotFound, refs: named(a.body, refs)}
	case http.StatusNotAcceptable:
		return because("a value is no text, and this Conjur is too old to give several such at once; give the variable a service of its own, or update Conjur")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return because("Conjur does not accept this id; check its spelling")
	}
	return because("Conjur answered HTTP %d; check the URL", a.status)
}

// named are those of refs that an answer speaks of; all if it names none.
func named(body []byte, refs []ref) string {
	var found []ref
	text := string(body)
	for _, r := range refs {
		for _, end := range []string{" ", `"`, "'", ","} {
			if strings.Contains(text, r.full()+end) {
				found = append(found, r)
				break
			}
		}
	}
	if len(found) == 0 {
		found = refs
	}
	return join(found)
}
