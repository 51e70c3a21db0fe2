// Package awsssm is the provider that reads parameters of the AWS Systems
// Manager Parameter Store.
package awsssm

import (
	"context"
	"slices"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"secretless/internal/provider"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/secret"
)

// Config is an instance's own settings.
type Config struct {
	awsconfig.Settings
	Endpoint string `yaml:"endpoint" doc:"URL of Systems Manager (default: AWS's, or AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL)"`
}

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:  "AWS Systems Manager Parameter Store",
		Ref:      "name or ARN of a parameter, then :version or :label, then #field[.sub] of a JSON value",
		Cache:    time.Minute,
		CheckRef: checkRef,
	}, build)
}

type client = *ssm.Client

type parameters struct {
	instance string
	*awsconfig.Session[client]
}

func build(c Config, s provider.Setup) (provider.Provider, error) {
	if err := awsconfig.CheckEndpoint(c.Endpoint); err != nil {
		return nil, err
	}
	awsconfig.WarnExposed(s, c.Endpoint, "SSM", "endpoint")
	session, err := awsconfig.NewSession(c.Settings, s, func(cfg sdk.Config) client {
		return ssm.NewFromConfig(cfg, func(o *ssm.Options) {
			if c.Endpoint != "" {
				o.BaseEndpoint = &c.Endpoint
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return parameters{s.Name, session}, nil
}

// Fetch reads every parameter once, up to ten in one call, so that ids which
// share one get fields of one version.
func (p parameters) Fetch(ctx context.Context, ids []string) (map[string]provider.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, &provider.Error{Provider: p.instance, Err: err}
	}
	refs := make([]ref, len(ids))
	for i, id := range ids {
		r, err := parse(id)
		if err != nil {
			return nil, &provider.Error{Provider: p.instance, Ref: id, Err: err}
		}
		refs[i] = r
	}
	values := map[string][]byte{}
	defer func() {
		for _, v := range values {
			clear(v)
		}
	}()
	for _, call := range batches(refs) {
		if err := p.read(ctx, call, values); err != nil {
			return nil, err
		}
	}
	return p.pick(ids, refs, values)
}

// pick takes the ids' values out of what was read by name.
func (p parameters) pick(ids []string, refs []ref, values map[string][]byte) (map[string]provider.Lease, error) {
	out := make(map[string]provider.Lease, len(ids))
	for i, r := range refs {
		if r.field == "" {
			out[ids[i]] = provider.Lease{Value: secret.Copy(values[r.name])}
			continue
		}
		v, err := awsconfig.Field(values[r.name], r.field)
		if err != nil {
			for _, l := range out {
				l.Value.Wipe()
			}
			return nil, &provider.Error{Provider: p.instance, Ref: ids[i], Err: err}
		}
		out[ids[i]] = provider.Lease{Value: v}
	}
	return out, nil
}

// maxBatch is the service's bound on the names of one call.
const maxBatch = 10

// batches puts refs into as few calls as the service allows: one region each,
// and no parameter twice, which it refuses.
func batches(refs []ref) (calls [][]ref) {
	seen := map[string]bool{}
	for _, r := range refs {
		if seen[r.name] {
			continue
		}
		seen[r.name] = true
		i := slices.IndexFunc(calls, func(call []ref) bool {
			return len(call) < maxBatch && call[0].region == r.region &&
				!slices.ContainsFunc(call, func(other ref) bool { return other.base == r.base })
		})
		if i < 0 {
			calls = append(calls, []ref{r})
		} else {
			calls[i] = append(calls[i], r)
		}
	}
	return calls
}
