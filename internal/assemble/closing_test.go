package assemble_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"secretless/internal/assemble"
	"secretless/internal/provider"
)

// slowToClose ends when all of its kind are being closed, or is left alone.
type slowToClose struct {
	t     *testing.T
	begun *sync.WaitGroup
	all   <-chan struct{}
}

func (slowToClose) Fetch(context.Context, []string) (map[string]provider.Lease, error) {
	return nil, errors.New("not asked")
}

func (s slowToClose) Close() {
	s.begun.Done()
	select {
	case <-s.all:
	case <-time.After(10 * time.Second):
		s.t.Error("the others are not closed at the same time")
	}
}

// Providers that take their time to close, as one does whose server is gone
// when its leases are to be revoked, take it at the same time: a stop is not
// the slower the more of them there are.
func TestProvidersCloseTogether(t *testing.T) {
	const text = `version: "2"
services:
  s: { connector: strict, listenOn: tcp://127.0.0.1:15432, credentials: { host: x } }
providers:
  one: { type: slow }
  two: { type: slow }
  three: { type: slow }
`
	var begun sync.WaitGroup
	begun.Add(3)
	all := make(chan struct{})
	go func() {
		begun.Wait()
		close(all)
	}()
	a := assemble.New(assemble.Options{
		LookupEnv: os.LookupEnv, Log: slog.New(slog.DiscardHandler), Connectors: newCensus().connectors(),
		Providers: map[string]provider.Definition{
			"slow": provider.Define(provider.Definition{Ref: "any"}, func(struct{}, provider.Setup) (provider.Provider, error) {
				return slowToClose{t, &begun, all}, nil
			}),
		},
	})
	built := mustBuild(t, a, text)
	built.Commit()
	for _, s := range built.Services {
		s.Close()
	}
	a.Close()
}
