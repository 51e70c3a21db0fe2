// Package awsrdsiam is the provider that makes authentication tokens for RDS
// and Aurora databases: passwords that are good for 15 minutes.
package awsrdsiam

import (
	"context"
	"errors"
	"net"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"

	"secretless/internal/provider"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/secret"
)

// lifetime is how long a token is used: a minute less than AWS accepts it, for
// clocks that differ.
const lifetime = 14 * time.Minute

// Config is an instance's own settings.
type Config struct{ awsconfig.Settings }

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:  "authentication tokens of AWS RDS and Aurora, as passwords",
		Ref:      "user@host:port of the database",
		Cache:    time.Minute,
		CheckRef: checkRef,
	}, build)
}

type tokens struct {
	instance string
	region   string
	*awsconfig.Session[struct{}]
}

func build(c Config, s provider.Setup) (provider.Provider, error) {
	session, err := awsconfig.NewSession(c.Settings, s, func(sdk.Config) struct{} { return struct{}{} })
	if err != nil {
		return nil, err
	}
	return tokens{s.Name, c.Region, session}, nil
}

// Fetch signs a token for every id. Nobody is asked but the sources of the
// credentials: whether the account may log in is the database's answer.
func (p tokens) Fetch(ctx context.Context, ids []string) (out map[string]provider.Lease, err error) {
	if err := ctx.Err(); err != nil {
		return nil, &provider.Error{Provider: p.instance, Err: err}
	}
	out = make(map[string]provider.Lease, len(ids))
	defer func() {
		if err != nil {
			for _, l := range out {
				l.Value.Wipe()
			}
			out = nil
		}
	}()
	for _, id := range ids {
		r, err := parse(id)
		if err != nil {
			return out, &provider.Error{Provider: p.instance, Ref: id, Err: err}
		}
		if out[id], err = p.sign(ctx, id, r); err != nil {
			return out, err
		}
	}
	return out, nil
}

// sign prefers the region of the settings, then the host name's, then that of
// environment and profile.
func (p tokens) sign(ctx context.Context, id string, r ref) (provider.Lease, error) {
	region := p.region
	if region == "" {
		region = r.region()
	}
	keys, region, err := p.Credentials(ctx, id, region)
	if err != nil {
		return provider.Lease{}, err
	}
	now := time.Now()
	token, err := auth.BuildAuthToken(ctx, net.JoinHostPort(r.host, r.port), region, r.user,
		credentials.StaticCredentialsProvider{Value: keys})
	if err != nil {
		return provider.Lease{}, &provider.Error{Provider: p.instance, Ref: id, Err: errors.New("the token could not be signed; check the id")}
	}
	expires := now.Add(lifetime)
	if keys.CanExpire && keys.Expires.Before(expires) { // the token ends with what signed it
		expires = keys.Expires
	}
	return provider.Lease{Value: secret.Copy(token), Expires: expires, Made: true}, nil
}
