// Package aws is the provider that reads secrets of AWS Secrets Manager.
package aws

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"secretless/internal/provider"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/secret"
)

// maxCalls is how many secrets of one lookup are read at the same time.
const maxCalls = 4

// Config is an instance's own settings.
type Config struct {
	awsconfig.Settings
	Endpoint string `yaml:"endpoint" doc:"URL of Secrets Manager (default: AWS's, or AWS_ENDPOINT_URL_SECRETS_MANAGER, AWS_ENDPOINT_URL)"`
}

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:  "AWS Secrets Manager",
		Ref:      "name or ARN of a secret, then ?stage=… or ?version=…, then #field[.sub] of a JSON secret",
		Cache:    time.Minute,
		CheckRef: checkRef,
	}, build)
}

type client = *secretsmanager.Client

type secrets struct {
	instance string
	log      *slog.Logger
	*awsconfig.Session[client]
}

func build(c Config, s provider.Setup) (provider.Provider, error) {
	if err := awsconfig.CheckEndpoint(c.Endpoint); err != nil {
		return nil, err
	}
	awsconfig.WarnExposed(s, c.Endpoint, "SECRETS_MANAGER", "endpoint")
	session, err := awsconfig.NewSession(c.Settings, s, func(cfg sdk.Config) client {
		return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
			if c.Endpoint != "" {
				o.BaseEndpoint = &c.Endpoint
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return secrets{s.Name, s.Log, session}, nil
}

// Fetch reads every secret once, so that ids which share one get parts of one
// version. BatchGetSecretValue would save calls, but knows no versions and
// needs a permission of its own.
func (p secrets) Fetch(ctx context.Context, ids []string) (map[string]provider.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, &provider.Error{Provider: p.instance, Err: err}
	}
	reads, err := p.group(ids)
	if err != nil {
		return nil, err
	}
	p.readAll(ctx, reads)
	out := make(map[string]provider.Lease, len(ids))
	for _, r := range reads {
		if err == nil && r.err != nil {
			err = r.err
		}
		if err == nil {
			err = p.pick(r, out)
		}
		clear(r.value)
	}
	if err != nil {
		for _, l := range out {
			l.Value.Wipe()
		}
		return nil, err
	}
	return out, nil
}

// read is one call and the ids that it answers.
type read struct {
	ref
	ids    []string
	fields []string
	value  []byte
	err    error
}

// group keeps the order of the ids, so that of several errors always the same
// one is told.
func (p secrets) group(ids []string) ([]*read, error) {
	var reads []*read
	byVersion := map[version]*read{}
	for _, id := range ids {
		r, err := parse(id)
		if err != nil {
			return nil, &provider.Error{Provider: p.instance, Ref: id, Err: err}
		}
		one := byVersion[r.version]
		if one == nil {
			one = &read{ref: r}
			byVersion[r.version] = one
			reads = append(reads, one)
		}
		one.ids, one.fields = append(one.ids, id), append(one.fields, r.field)
	}
	return reads, nil
}

func (p secrets) readAll(ctx context.Context, reads []*read) {
	if len(reads) == 1 {
		reads[0].value, reads[0].err = p.read(ctx, reads[0])
		return
	}
	slots := make(chan struct{}, maxCalls)
	var all sync.WaitGroup
	for _, r := range reads {
		slots <- struct{}{}
		provider.Go(&all, p.log, "read a secret", func() {
			defer func() { <-slots }()
			r.value, r.err = p.read(ctx, r)
		}, func(err error) {
			r.err = &provider.Error{Provider: p.instance, Ref: strings.Join(r.ids, ", "), Err: err}
		})
	}
	all.Wait()
}

var getSecretValue = awsconfig.Call{
	Action:   "secretsmanager:GetSecretValue",
	On:       "this secret",
	NotFound: "there is no such secret, or no such version of it, in this account and region",
}

func (p secrets) read(ctx context.Context, r *read) (value []byte, err error) {
	what := getSecretValue
	what.Region = r.region
	err = p.Do(ctx, strings.Join(r.ids, ", "), what, func(ctx context.Context, c client) error {
		in := &secretsmanager.GetSecretValueInput{SecretId: &r.secret}
		if r.stage != "" {
			in.VersionStage = &r.stage
		}
		if r.id != "" {
			in.VersionId = &r.id
		}
		out, err := c.GetSecretValue(ctx, in, func(o *secretsmanager.Options) {
			if r.region != "" {
				o.Region = r.region
			}
		})
		switch {
		case err != nil:
			return err
		case out.SecretString != nil:
			value = []byte(*out.SecretString)
		default:
			value = out.SecretBinary
		}
		return nil
	})
	return value, err
}

// pick takes the ids' values out of what was read.
func (p secrets) pick(r *read, out map[string]provider.Lease) error {
	for i, id := range r.ids {
		if r.value == nil {
			return &provider.Error{Provider: p.instance, Ref: id, Err: errors.New("the secret has no value yet")}
		}
		if r.fields[i] == "" {
			out[id] = provider.Lease{Value: secret.Copy(r.value)}
			continue
		}
		v, err := awsconfig.Field(r.value, r.fields[i])
		if err != nil {
			return &provider.Error{Provider: p.instance, Ref: id, Err: err}
		}
		out[id] = provider.Lease{Value: v}
	}
	return nil
}
