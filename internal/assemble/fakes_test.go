package assemble_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"secretless/internal/assemble"
	"secretless/internal/config"
	"secretless/internal/connector"
	"secretless/internal/provider"
	"secretless/internal/secret"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// census counts what was built and what of it was closed, by name.
type census struct {
	mu     sync.Mutex
	built  map[string]int
	closed map[string]int
	values map[string]string // what the fake provider answers
	fail   error
	asked  int
}

func newCensus() *census {
	return &census{built: map[string]int{}, closed: map[string]int{}, values: map[string]string{}}
}

func (c *census) count(m map[string]int, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[name]++
}

// alive is how many of name are built and not closed; closing one twice makes
// it too few.
func (c *census) alive(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.built[name] - c.closed[name]
}

func (c *census) made(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.built[name]
}

func (c *census) set(name, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[name] = value
}

func (c *census) failWith(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

func (c *census) lookups() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

type fakeConnector struct {
	name string
	*census
}

func (f *fakeConnector) ServeConn(context.Context, *connector.Session) error { return nil }

func (f *fakeConnector) Close() { f.count(f.closed, "connector "+f.name) }

type fakeProvider struct {
	name  string
	token provider.SecretSetting
	*census
}

// Fetch answers "token" with the provider's own, as one that logs in with it.
func (f *fakeProvider) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	token, err := f.token.Get(ctx)
	if err != nil {
		return nil, &provider.Error{Provider: f.name, Err: fmt.Errorf("token: %w", err)}
	}
	if len(refs) == 1 && refs[0] == "token" {
		return map[string]provider.Lease{"token": {Value: token}}, nil
	}
	token.Wipe()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.fail != nil {
		return nil, f.fail
	}
	out := map[string]provider.Lease{}
	for _, r := range refs {
		out[r] = provider.Lease{Value: secret.Copy(f.values[r])}
	}
	return out, nil
}

func (f *fakeProvider) Close() { f.count(f.closed, "provider "+f.name) }

type connectorConfig struct {
	Fail string `yaml:"fail"`
}

type providerConfig struct {
	URL   string                   `yaml:"url"`
	Token provider.SecretSetting   `yaml:"token"`
	More  []provider.SecretSetting `yaml:"more"`
}

func (c *census) connectors() map[string]connector.Definition {
	return map[string]connector.Definition{
		"strict": connector.Define(connector.Definition{
			Summary: "knows its credentials",
			Credentials: []connector.Credential{
				{Name: "host", Doc: "where to go", Required: true, Unless: "address"},
				{Name: "port", Doc: "its port", Check: func(text string) error {
					if text == "http" {
						return errors.New("port is no number")
					}
					return nil
				}},
				{Name: "password", Doc: "the secret", Secret: true},
				{Name: "address", Doc: "host:port", Deprecated: "use host and port"},
			},
		}, func(own connectorConfig, s connector.Setup) (connector.Connector, error) {
			if own.Fail != "" {
				return nil, errors.Join(
					&connector.FieldError{Path: []string{"config", "fail"}, Err: fmt.Errorf("fail: %s", own.Fail)},
					errors.New("and another thing"),
				)
			}
			c.count(c.built, "connector "+s.Service)
			return &fakeConnector{s.Service, c}, nil
		}),
	}
}

func (c *census) providers() map[string]provider.Definition {
	build := func(own providerConfig, s provider.Setup) (provider.Provider, error) {
		if own.URL == "bad" {
			return nil, errors.New("url is bad")
		}
		c.count(c.built, "provider "+s.Name)
		return &fakeProvider{s.Name, own.Token, c}, nil
	}
	check := func(ref string) error {
		if ref == "wrong" {
			return errors.New("no such form of id")
		}
		return nil
	}
	return map[string]provider.Definition{
		"fake":  provider.Define(provider.Definition{Summary: "a fake", Ref: "any name", CheckRef: check}, build),
		"vault": provider.Define(provider.Definition{Summary: "another", Ref: "any name", NeedsInstance: true}, build),
	}
}

func (c *census) assembler(t *testing.T) *assemble.Assembler {
	t.Helper()
	a := assemble.New(assemble.Options{
		LookupEnv: os.LookupEnv, Log: slog.New(slog.DiscardHandler),
		Connectors: c.connectors(), Providers: c.providers(),
	})
	t.Cleanup(a.Close)
	return a
}

func build(t *testing.T, a *assemble.Assembler, text string) (*assemble.Built, error) {
	t.Helper()
	file, err := a.Parse("s.yml", []byte(text))
	if file == nil {
		t.Fatal(err)
	}
	built, buildErr := a.Build(file)
	if err := config.Join("s.yml", err, buildErr); err != nil {
		if built != nil {
			built.Discard()
		}
		return nil, err
	}
	return built, nil
}

func mustBuild(t *testing.T, a *assemble.Assembler, text string) *assemble.Built {
	t.Helper()
	built, err := build(t, a, text)
	if err != nil {
		t.Fatal(err)
	}
	return built
}
