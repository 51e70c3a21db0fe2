package kubernetes

import (
	"context"
	"errors"
	"fmt"

	"secretless/internal/kubeapi"
	"secretless/internal/provider"
	"secretless/internal/secret"
)

func isTransient(err error) bool {
	if _, ok := errors.AsType[kubeapi.TransientError](err); ok {
		return true
	}
	e, ok := errors.AsType[*provider.Error](err) // of the token's own provider
	return ok && e.Transient
}

// access finds the cluster: what the instance says, else what kubectl or a pod
// would use.
func (c *cluster) access(ctx context.Context) (*kubeapi.Access, error) {
	a, err := c.find(ctx)
	if errors.Is(err, kubeapi.ErrNoCluster) {
		return nil, fmt.Errorf("%w; add an instance under providers with kubeconfig, or with server, caCert and token", err)
	}
	if err != nil {
		return nil, err
	}
	if c.config.Namespace != "" {
		a.Namespace = c.config.Namespace
	}
	return a, nil
}

func (c *cluster) find(ctx context.Context) (*kubeapi.Access, error) {
	if c.config.Server == "" {
		return kubeapi.Cluster{
			Kubeconfig: c.config.Kubeconfig, Context: c.config.Context, LookupEnv: c.lookupEnv, PodDir: c.podDir,
		}.Find()
	}
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	a, err := kubeapi.Explicit(c.config.Server, c.config.CACert, token)
	if err != nil {
		token.Wipe()
	}
	return a, err
}

// token is the one of the instance's own settings.
func (c *cluster) token(ctx context.Context) (secret.Value, error) {
	if c.config.TokenFile != "" {
		return kubeapi.ReadToken(c.config.TokenFile)
	}
	raw, err := c.config.Token.Get(ctx)
	if err != nil {
		return secret.Value{}, fmt.Errorf("reading its token: %w", err)
	}
	defer raw.Wipe()
	token, err := kubeapi.CleanToken(raw.Bytes())
	if err != nil {
		return secret.Value{}, fmt.Errorf("token of the instance: %w", err)
	}
	return token, nil
}
