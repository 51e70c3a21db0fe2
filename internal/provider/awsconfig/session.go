package awsconfig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"secretless/internal/provider"
)

const (
	// processTimeout bounds a credential_process, which nothing else ends.
	processTimeout = 10 * time.Second
	// roleMargin is how long before its end an assumed role is assumed anew.
	roleMargin = 10 * time.Second
)

// Session is one instance's way to AWS with a client of one service. The
// configuration is loaded when it is first needed, and again when AWS says
// that the credentials have expired, so that a new login of SSO or a rewritten
// credentials file is noticed without a restart. Safe for concurrent use.
type Session[C any] struct {
	name     string
	settings Settings
	env      environment
	build    func(aws.Config) C
	conns    *connections

	turn   chan struct{} // holds a token while nobody loads; guards loaded
	loaded *loaded[C]
}

type loaded[C any] struct {
	config aws.Config
	client C
}

// NewSession checks the settings; it opens and reads nothing. build makes the
// service's client.
func NewSession[C any](s Settings, setup provider.Setup, build func(aws.Config) C) (*Session[C], error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.AssumeRole.RoleARN != "" {
		WarnExposed(setup, s.AssumeRole.Endpoint, "STS", "assumeRole", "endpoint")
	}
	session := &Session[C]{
		name: setup.Name, settings: s, env: setup.LookupEnv, build: build,
		conns: newConnections(), turn: make(chan struct{}, 1),
	}
	session.turn <- struct{}{}
	return session, nil
}

// Close ends every connection, and with them what the SDK does in the
// background.
func (s *Session[C]) Close() { s.conns.close() }

// Do calls AWS. If it refuses the credentials, they are looked for anew and
// the call is made once more. The error is an *provider.Error about ref.
func (s *Session[C]) Do(ctx context.Context, ref string, what Call, call func(context.Context, C) error) error {
	for attempt := 0; ; attempt++ {
		l, err := s.ready(ctx, what.Region)
		if err != nil {
			return s.fail(ref, err)
		}
		if err = call(ctx, l.client); err == nil {
			return nil
		}
		if attempt > 0 || !refusesCredentials(err) || ctx.Err() != nil {
			return s.fail(ref, what.explain(ctx, err))
		}
		s.forget(ctx, l)
	}
}

// Credentials are those that the chain finds, and the region: the given one,
// or where that is empty the configured.
func (s *Session[C]) Credentials(ctx context.Context, ref, region string) (aws.Credentials, string, error) {
	l, err := s.ready(ctx, region)
	if err != nil {
		return aws.Credentials{}, "", s.fail(ref, err)
	}
	c, err := l.config.Credentials.Retrieve(ctx) // cached a moment ago
	if err != nil {
		return aws.Credentials{}, "", s.fail(ref, explainCredentials(ctx, err))
	}
	if region == "" {
		region = l.config.Region
	}
	return c, region, nil
}

func (s *Session[C]) fail(ref string, err error) error {
	e := &provider.Error{Provider: s.name, Ref: ref, Err: err}
	if r, ok := errors.AsType[*reason](err); ok {
		e.Transient = r.transient
	}
	return e
}

// ready loads what is not loaded, and sees that there are a region and
// credentials: their absence is told apart from trouble with the service.
func (s *Session[C]) ready(ctx context.Context, region string) (*loaded[C], error) {
	l, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if l.config.Region == "" && (region == "" || s.settings.AssumeRole.RoleARN != "") {
		s.forget(ctx, l)
		return nil, errNoRegion
	}
	if _, err := l.config.Credentials.Retrieve(ctx); err != nil {
		s.forget(ctx, l)
		return nil, explainCredentials(ctx, err)
	}
	return l, nil
}

func (s *Session[C]) current(ctx context.Context) (*loaded[C], error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.unlock()
	if s.loaded != nil {
		return s.loaded, nil
	}
	c, err := s.load(ctx)
	if err != nil {
		return nil, explainLoading(ctx, err)
	}
	s.loaded = &loaded[C]{c, s.build(c)}
	return s.loaded, nil
}

func (s *Session[C]) lock(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the AWS configuration: %w", ctx.Err())
	}
}

func (s *Session[C]) unlock() { s.turn <- struct{}{} }

// forget drops l, unless somebody has done so already.
func (s *Session[C]) forget(ctx context.Context, l *loaded[C]) {
	if ctx.Err() != nil || s.lock(ctx) != nil {
		return
	}
	defer s.unlock()
	if s.loaded != l {
		return
	}
	s.loaded = nil
	s.settings.AccessKeyID.Forget()
	s.settings.SecretAccessKey.Forget()
	s.settings.SessionToken.Forget()
}

func (s *Session[C]) load(ctx context.Context) (aws.Config, error) {
	options, err := s.env.options(s.settings)
	if err != nil {
		return aws.Config{}, &reason{err: err}
	}
	fixed := []config.LoadOptionsFunc{
		config.WithHTTPClient(s.conns.client()),
		config.WithAPIOptions([]func(*middleware.Stack) error{bounded}),
		config.WithRetryer(retryer),
		config.WithLogger(logging.Nop{}), // the SDK's own writes to standard error
		config.WithProcessCredentialOptions(func(o *processcreds.Options) { o.Timeout = processTimeout }),
	}
	options = append(fixed, options...)
	if s.settings.Region != "" {
		options = append(options, config.WithRegion(s.settings.Region))
	}
	if s.settings.AccessKeyID.IsSet() {
		static, err := s.static(ctx)
		if err != nil {
			return aws.Config{}, err
		}
		options = append(options, config.WithCredentialsProvider(static))
	}
	var functions []func(*config.LoadOptions) error
	for _, o := range options {
		functions = append(functions, o)
	}
	c, err := config.LoadDefaultConfig(ctx, functions...)
	if err != nil {
		return aws.Config{}, err
	}
	return s.assume(c), nil
}

// retryer tries once more at once: for a connection that has just ended, and
// for the SDK to correct the clock. Longer pauses are the Resolver's.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 2
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 50 * time.Millisecond, nil })
		o.RateLimiter = ratelimit.None
	})
}

// static are the keys of the settings. The SDK takes strings, which cannot be
// wiped.
func (s *Session[C]) static(ctx context.Context) (aws.CredentialsProvider, error) {
	var parts [3]string
	for i, setting := range []provider.SecretSetting{s.settings.AccessKeyID, s.settings.SecretAccessKey, s.settings.SessionToken} {
		v, err := setting.Get(ctx)
		if err != nil {
			return nil, &settingError{[]string{"accessKeyId", "secretAccessKey", "sessionToken"}[i], err}
		}
		parts[i] = string(v.Bytes())
		v.Wipe()
	}
	if parts[0] == "" || parts[1] == "" {
		return nil, &reason{err: errors.New("accessKeyId or secretAccessKey is empty")}
	}
	return credentials.NewStaticCredentialsProvider(parts[0], parts[1], parts[2]), nil
}

// assume puts the role of the settings on top of what the chain has found.
func (s *Session[C]) assume(c aws.Config) aws.Config {
	role := s.settings.AssumeRole
	if role.RoleARN == "" {
		return c
	}
	client := sts.NewFromConfig(c, func(o *sts.Options) {
		if role.Endpoint != "" {
			o.BaseEndpoint = &role.Endpoint
		}
	})
	c = c.Copy()
	c.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, role.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = defaultSessionName
		if role.SessionName != "" {
			o.RoleSessionName = role.SessionName
		}
		if role.ExternalID != "" {
			o.ExternalID = &role.ExternalID
		}
	}), func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = roleMargin })
	return c
}
