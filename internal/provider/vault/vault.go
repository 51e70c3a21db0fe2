// Package vault is the provider for HashiCorp Vault and OpenBao.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

const (
	defaultCache = time.Minute
	// closeTimeout bounds the revocations at the end.
	closeTimeout = 5 * time.Second
)

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary: "HashiCorp Vault and OpenBao: KV, dynamic secrets, PKI",
		Ref:     "path[#field[.sub]], for instance secret/orders-db#password; the default field is " + defaultField,
		Cache:   defaultCache,
		CheckRef: func(id string) error {
			_, err := parseRef(id)
			return err
		},
	}, build)
}

func build(c Config, s provider.Setup) (provider.Provider, error) {
	where, err := settle(c, s)
	if err != nil {
		return nil, err
	}
	client, err := newClient(where)
	if err != nil {
		return nil, err
	}
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	provider.WarnExposed(s, "Vault", where.Address, "address")
	v := &vault{name: s.Name, client: client, reading: map[string]chan struct{}{}}
	v.leases = newLeases(log, func(ctx context.Context, path string, fields map[string]any) (*envelope, error) {
		e, _, err := v.write(ctx, path, fields)
		return e, err
	})
	v.mounts = newMounts(func(ctx context.Context, path string) (*envelope, error) {
		e, _, err := v.read(ctx, ref{path: path}, path)
		return e, err
	})
	v.session = newSession(client, methodOf(where, s.LookupEnv), log, v.leases.tokenOver)
	return v, nil
}

// vault reads secrets of one server or cluster.
type vault struct {
	name    string
	client  *client
	session *session
	leases  *leases
	mounts  *mounts

	mu      sync.Mutex
	reading map[string]chan struct{} // by key: held while a secret is read
}

// Fetch reads each path once. What Vault leases is kept and renewed here, and
// served from here until it ends: all connections share a lease.
func (v *vault) Fetch(ctx context.Context, ids []string) (map[string]provider.Lease, error) {
	out := make(map[string]provider.Lease, len(ids))
	for _, g := range group(ids) {
		if err := v.fetchGroup(ctx, g, out); err != nil {
			for _, l := range out {
				l.Value.Wipe()
			}
			return nil, err
		}
	}
	return out, nil
}

// reads are the ids that are answered by one read.
type reads struct {
	ref
	ids []id
}

type id struct{ text, field string }

func group(ids []string) []*reads {
	var all []*reads
	byKey := map[string]*reads{}
	for _, text := range ids {
		r, err := parseRef(text)
		if err != nil { // a read of its own, which will say so
			all = append(all, &reads{ids: []id{{text, ""}}})
			continue
		}
		g := byKey[r.key()]
		if g == nil {
			g = &reads{ref: r}
			byKey[r.key()] = g
			all = append(all, g)
		}
		g.ids = append(g.ids, id{text, r.field})
	}
	return all
}

func (v *vault) fetchGroup(ctx context.Context, g *reads, out map[string]provider.Lease) error {
	if g.path == "" {
		_, err := parseRef(g.ids[0].text)
		return v.fail(g.ids[0].text, err)
	}
	d, err := v.document(ctx, g.ref)
	if err != nil {
		return v.fail(g.ids[0].text, err)
	}
	defer d.data.Wipe()
	for _, id := range g.ids {
		value, err := d.find(id.field)
		if err != nil {
			return v.fail(id.text, err)
		}
		out[id.text] = provider.Lease{Value: value, Expires: d.expires, Made: d.lease != "", ID: d.lease}
	}
	return nil
}

func (v *vault) fail(id string, err error) error {
	return &provider.Error{Provider: v.name, Ref: id, Err: err, Transient: isTransient(err)}
}

// Rejected implements provider.LeaseKeeper.
func (v *vault) Rejected(lease string) { v.leases.reject(lease) }

// Doubted implements provider.LeaseChecker.
func (v *vault) Doubted(lease string) { v.leases.doubt(lease) }

// Released implements provider.LeaseKeeper. A lease that no new connection
// wants is renewed all the same, as long as it can be: connections that are
// open may live on it.
func (*vault) Released(string) {}

// Close ends what runs in the background and revokes what is ours.
func (v *vault) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	v.leases.end()
	if v.session.method.given() {
		v.leases.close(ctx, false) // with the token that is given up next
		v.session.close(ctx)
	} else {
		revoked := v.session.close(ctx)
		v.leases.close(ctx, revoked)
	}
	v.client.close()
}

// document is the data of one answer.
type document struct {
	data    secret.Value // JSON
	expires time.Time    // zero: it does not
	lease   string       // number of the lease; empty if it is none
	place   place
}

func (d document) find(field string) (secret.Value, error) {
	if field == "" {
		field = defaultField
		if d.place.full {
			field = "data." + defaultField
		}
	}
	if !d.place.inner {
		return findField(d.data.Bytes(), field)
	}
	o, _ := parseObject(d.data.Bytes())
	defer o.wipe()
	if inner := o["data"]; len(inner) > 0 && inner[0] == '{' {
		return findField(inner, field)
	}
	return secret.Value{}, errors.New("the answer has no data, as the KV engine's version 2 would give it")
}

// document answers from a lease, or reads.
func (v *vault) document(ctx context.Context, r ref) (document, error) {
	key := r.key()
	if d, ok := v.leases.serve(key); ok {
		return d, nil
	}
	if m, _ := v.mounts.remembered(r.path); m.kv { // nothing is leased: a read that hangs holds up no other
		return v.readSecret(ctx, r)
	}
	done, err := v.alone(ctx, key)
	if err != nil {
		return document{}, err
	}
	defer done()
	v.leases.settle(ctx, key)
	if d, ok := v.leases.serve(key); ok { // somebody else has read it
		return d, nil
	}
	d, err := v.readSecret(ctx, r)
	if err != nil && isTransient(err) {
		if d, ok := v.leases.bridge(key); ok {
			return d, nil
		}
	}
	return d, err
}

// alone keeps two lookups from taking out two leases of one path.
func (v *vault) alone(ctx context.Context, key string) (done func(), err error) {
	v.mu.Lock()
	turn := v.reading[key]
	if turn == nil {
		turn = make(chan struct{}, 1)
		v.reading[key] = turn
	}
	v.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, &failure{text: "waiting for another read of the same path", cause: context.Cause(ctx), transient: true}
	}
}

func (v *vault) readSecret(ctx context.Context, r ref) (document, error) {
	at := place{path: r.path}
	if !r.writes() {
		m, err := v.mounts.of(ctx, r.path)
		if err != nil {
			return document{}, err
		}
		at = m.in(r.path)
		if r.params.Has("version") && m.path != "" && !m.second {
			return document{}, errors.New("?version= is for the KV engine's version 2, and " + m.path + " is another engine")
		}
	}
	asked := time.Now()
	var e *envelope
	var token uint64
	var err error
	if r.writes() {
		fields := map[string]any{}
		for name := range r.params {
			fields[name] = r.params.Get(name)
		}
		e, token, err = v.write(ctx, at.path, fields)
	} else {
		e, token, err = v.read(ctx, r, at.path)
	}
	if err != nil {
		if f, ok := err.(*failure); ok && (f.missing || f.status == 403) { //nolint:errorlint // one that is wrapped is about the token
			v.mounts.forget(at.mount)
		}
		return document{}, err
	}
	defer e.wipe()
	if len(e.Data) == 0 || string(e.Data) == "null" {
		return document{}, errors.New("the answer holds no secret; wrapped answers and logins cannot be used")
	}
	d := document{data: secret.Copy([]byte(e.Data)), place: at}
	if life := lifeOf(e, r, asked); !life.endless() {
		d.lease = v.leases.keep(r.key(), e, life, token)
		d.expires = life.end()
	}
	return d, nil
}

// lifeOf is how long the answer is good for, if it was made for us: a lease's
// time, or that of a certificate just issued, which comes without a lease.
// Other engines put a duration into answers that anybody else gets, too.
func lifeOf(e *envelope, r ref, asked time.Time) lifetime {
	if e.LeaseID != "" {
		return newLifetime(e.Duration, asked)
	}
	if !r.writes() {
		return lifetime{}
	}
	var issued struct {
		Expiration int64 `json:"expiration"`
	}
	if json.Unmarshal(e.Data, &issued) != nil || issued.Expiration == 0 {
		return lifetime{}
	}
	return newLifetime(issued.Expiration-asked.Unix(), asked)
}

// read reads with the token, and once more with another if it was over.
func (v *vault) read(ctx context.Context, r ref, path string) (*envelope, uint64, error) {
	return v.try(ctx, func(token secret.Value) (*envelope, error) { return v.client.read(ctx, token, path, r.params) })
}

func (v *vault) write(ctx context.Context, path string, fields map[string]any) (*envelope, uint64, error) {
	return v.try(ctx, func(token secret.Value) (*envelope, error) { return v.client.write(ctx, token, path, fields) })
}

func (v *vault) try(ctx context.Context, request func(secret.Value) (*envelope, error)) (*envelope, uint64, error) {
	p, err := v.session.get(ctx)
	if err != nil {
		return nil, 0, &tokenError{err}
	}
	defer func() { p.value.Wipe() }()
	e, err := request(p.value)
	if err == nil || !isDenied(err) {
		return e, p.number, err
	}
	other, refused := v.session.replace(ctx, p, err)
	if refused != nil {
		return nil, 0, refused
	}
	p.value.Wipe()
	p = other
	e, err = request(p.value)
	return e, p.number, err
}

// tokenError is that no request was made, for lack of a token.
type tokenError struct{ err error }

func (e *tokenError) Error() string {
	return "no token: " + strings.TrimPrefix(e.err.Error(), "provider ")
}
func (e *tokenError) Unwrap() error { return e.err }
