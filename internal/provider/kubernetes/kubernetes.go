// Package kubernetes is the provider that reads Secrets from a cluster's API
// server.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"secretless/internal/kubeapi"
	"secretless/internal/provider"
	"secretless/internal/secret"
)

// Config is an instance's own settings: a kubeconfig, or a server with what it
// needs, or nothing for what kubectl or a pod would use.
type Config struct {
	Kubeconfig string                 `yaml:"kubeconfig" doc:"path of a kubeconfig file"`
	Context    string                 `yaml:"context" doc:"context of the kubeconfig; its current one if left out"`
	Namespace  string                 `yaml:"namespace" doc:"namespace of ids that name none"`
	Server     string                 `yaml:"server" doc:"address of the API server, https"`
	CACert     string                 `yaml:"caCert" doc:"path of a PEM file with the authorities that the server's certificate may come from"`
	Token      provider.SecretSetting `yaml:"token" doc:"bearer token for server"`
	TokenFile  string                 `yaml:"tokenFile" doc:"path of a file with the bearer token, read for every lookup"`
}

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:  "Secrets of a Kubernetes cluster",
		Ref:      refForm,
		Cache:    time.Minute,
		CheckRef: checkRef,
	}, func(c Config, s provider.Setup) (provider.Provider, error) {
		if err := c.check(); err != nil {
			return nil, err
		}
		return &cluster{instance: s.Name, config: c, lookupEnv: s.LookupEnv, podDir: kubeapi.PodDir}, nil
	})
}

// check refuses settings that contradict each other; the files and the server
// are looked at when a secret is read.
func (c Config) check() error {
	switch {
	case c.Server != "" && (c.Kubeconfig != "" || c.Context != ""):
		return errors.New("server and kubeconfig (or context) exclude each other: keep one of them")
	case c.Server == "" && (c.CACert != "" || c.Token.IsSet() || c.TokenFile != ""):
		return errors.New("caCert, token and tokenFile belong to server: add server, or put them into a kubeconfig")
	case c.Token.IsSet() && c.TokenFile != "":
		return errors.New("token and tokenFile exclude each other: keep one of them")
	case c.Server != "" && !c.Token.IsSet() && c.TokenFile == "":
		return errors.New("server needs token or tokenFile; for a client certificate use a kubeconfig")
	}
	if c.Namespace != "" {
		if err := kubeapi.CheckNamespace(c.Namespace); err != nil {
			return fmt.Errorf("namespace: %w", err)
		}
	}
	if c.Server == "" {
		return nil
	}
	_, err := kubeapi.ParseServer(c.Server)
	return err
}

// cluster reads secrets. It keeps nothing between two lookups: configuration
// files, tokens and certificates are replaced under it, and a lookup is rare
// enough for a connection of its own.
type cluster struct {
	instance  string
	config    Config
	lookupEnv func(string) (string, bool)
	podDir    string
}

// Fetch asks for each secret once, so that its fields are of one version.
func (c *cluster) Fetch(ctx context.Context, ids []string) (map[string]provider.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, c.fail(ids, err, false)
	}
	refs, err := c.parse(ids)
	if err != nil || len(ids) == 0 {
		return map[string]provider.Lease{}, err
	}
	a, err := c.access(ctx)
	if err != nil {
		return nil, c.fail(ids, err, isTransient(err))
	}
	defer func() { a.Wipe() }()
	out, err := c.read(ctx, a, group(a.Namespace, ids, refs))
	if errors.Is(err, kubeapi.ErrUnauthorized) {
		// The token may have been replaced since it was read.
		fresh := c.another(ctx, a)
		if fresh == nil {
			return nil, err
		}
		a.Wipe()
		a = fresh
		out, err = c.read(ctx, a, group(a.Namespace, ids, refs))
	}
	return out, err
}

// another is access with another token than a has; nil if there is none.
func (c *cluster) another(ctx context.Context, a *kubeapi.Access) *kubeapi.Access {
	c.config.Token.Forget()
	fresh, err := c.access(ctx)
	if err != nil {
		return nil
	}
	if fresh.SameToken(a) {
		fresh.Wipe()
		return nil
	}
	return fresh
}

// wish is what is asked of one secret.
type wish struct {
	namespace, secret string
	ids               []string
	fields            []string // of the same index
}

func (c *cluster) parse(ids []string) ([]ref, error) {
	refs := make([]ref, len(ids))
	for i, id := range ids {
		var err error
		if refs[i], err = parseRef(id); err != nil {
			return nil, c.fail([]string{id}, err, false)
		}
	}
	return refs, nil
}

// group puts the ids of one secret together, in the order of their first. One
// id may name the namespace that another leaves out.
func group(namespace string, ids []string, refs []ref) []*wish {
	var wanted []*wish
	for n, r := range refs {
		if r.namespace == "" {
			r.namespace = namespace
		}
		i := slices.IndexFunc(wanted, func(w *wish) bool { return w.namespace == r.namespace && w.secret == r.secret })
		if i < 0 {
			i = len(wanted)
			wanted = append(wanted, &wish{namespace: r.namespace, secret: r.secret})
		}
		wanted[i].ids = append(wanted[i].ids, ids[n])
		wanted[i].fields = append(wanted[i].fields, r.field)
	}
	return wanted
}

// read gets every secret of the list, or none.
func (c *cluster) read(ctx context.Context, a *kubeapi.Access, wanted []*wish) (map[string]provider.Lease, error) {
	client, done := a.Client()
	defer done()
	out := map[string]provider.Lease{}
	for _, w := range wanted {
		if ids, err := w.read(ctx, client, out); err != nil {
			for _, l := range out {
				l.Value.Wipe()
			}
			return nil, c.fail(ids, err, isTransient(err))
		}
	}
	return out, nil
}

// read adds the fields of one secret to out; with an error it says which ids
// that is about.
func (w *wish) read(ctx context.Context, client *kubeapi.Client, out map[string]provider.Lease) ([]string, error) {
	data, err := get(ctx, client, w.namespace, w.secret)
	if err != nil {
		return w.ids, err
	}
	defer data.wipe()
	for i, id := range w.ids {
		value, ok := data[w.fields[i]]
		if !ok {
			return []string{id}, fmt.Errorf("secret %s in namespace %s has no field %s; %s", w.secret, w.namespace, w.fields[i], data.names())
		}
		out[id] = provider.Lease{Value: secret.Copy(value)}
	}
	return nil, nil
}

func (c *cluster) fail(ids []string, err error, transient bool) error {
	return &provider.Error{Provider: c.instance, Ref: strings.Join(ids, ", "), Err: err, Transient: transient}
}
