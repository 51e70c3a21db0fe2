package aws_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/aws"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv/awsserver"
)

func TestMain(m *testing.M) { os.Exit(awsserver.Main(m)) }

const (
	keyID     = "AKIDEXAMPLE000000001"
	keySecret = "secret-key-" + providertest.Canary
	roleARN   = "arn:aws:iam::123456789012:role/broker"
)

// world is the double and the environment of a broker that uses it.
type world struct {
	*testing.T
	aws *awsserver.Server
	env map[string]string
	log strings.Builder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := awsserver.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.AddKey(awsserver.Key{ID: keyID, Secret: keySecret})
	w := &world{T: t, aws: s, env: map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": keySecret,
	}}
	t.Cleanup(func() { w.clean("log", w.log.String()) })
	return w
}

// with changes the environment; an empty value unsets.
func (w *world) with(pairs ...string) *world {
	for i := 0; i < len(pairs); i += 2 {
		w.env[pairs[i]] = pairs[i+1]
	}
	maps.DeleteFunc(w.env, func(_, v string) bool { return v == "" })
	return w
}

// without keys the chain has to look elsewhere.
func (w *world) without() *world { return w.with("AWS_ACCESS_KEY_ID", "", "AWS_SECRET_ACCESS_KEY", "") }

func (w *world) setup(c aws.Config) provider.Setup {
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return provider.Setup{
		Name: "aws",
		Decode: func(into any) error {
			*into.(*aws.Config) = c
			return nil
		},
		LookupEnv: func(name string) (string, bool) {
			v, ok := w.env[name]
			return v, ok
		},
		Warn: func(text string, path ...string) { log.Warn(text, "path", strings.Join(path, ".")) },
		Log:  log,
	}
}

func (w *world) open(c aws.Config) provider.Provider {
	w.Helper()
	p, err := aws.Definition().Build(w.setup(c))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.(provider.Closer).Close)
	return p
}

func (w *world) clean(where, text string) {
	w.Helper()
	if strings.Contains(text, providertest.Canary) {
		w.Errorf("%s contains a secret: %s", where, text)
	}
}

// secret stores the canary under a name.
func (w *world) secret(name string) {
	w.aws.SetSecret(name, awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("v1", "value-"+providertest.Canary)}})
}

func fetch(ctx context.Context, p provider.Provider, ids ...string) (map[string]string, error) {
	leases, err := p.Fetch(ctx, ids)
	out := map[string]string{}
	for id, l := range leases {
		out[id] = string(l.Value.Bytes())
		l.Value.Wipe()
	}
	return out, err
}

// works is a lookup that must succeed.
func (w *world) works(p provider.Provider) {
	w.Helper()
	w.secret("db")
	got, err := fetch(w.Context(), p, "db")
	if err != nil || got["db"] != "value-"+providertest.Canary {
		w.Errorf("got %q, %v", got, err)
	}
}

// fails is a lookup that must not, with this text.
func (w *world) fails(p provider.Provider, id, want string, transient bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
	defer cancel()
	got, err := fetch(ctx, p, id)
	if err == nil {
		w.Errorf("no error, got %q", got)
		return
	}
	w.clean("error", err.Error())
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Transient != transient || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "provider aws: "+id+": ") {
		w.Errorf("got  %v (%T, transient %v)\nwant %s (transient %v)", err, err, ok && e.Transient, want, transient)
	}
}

func keys() awsconfig.Settings {
	return awsconfig.Settings{AccessKeyID: provider.LiteralSetting(keyID), SecretAccessKey: provider.LiteralSetting(keySecret)}
}
