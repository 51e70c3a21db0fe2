package exec

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"secretless/internal/provider"
)

// faulty is a log that panics, with a secret, on what commands say.
type faulty struct{ slog.Handler }

func (f faulty) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "command ") {
		panic("c4nary")
	}
	return f.Handler.Handle(ctx, r)
}

// A fault in what a lookup runs beside itself fails the lookup, and nothing
// else.
func TestSummonThatPanics(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("runs /bin/sh")
	}
	var log strings.Builder
	p, err := Definition().Build(provider.Setup{
		Name: "under-test",
		Decode: func(into any) error {
			*into.(*Config) = Config{Command: []string{"/bin/sh", "-c", "echo said >&2; echo x"}, Protocol: ProtocolSummon}
			return nil
		},
		LookupEnv: func(string) (string, bool) { return "", false },
		Log:       slog.New(faulty{slog.NewTextHandler(&log, nil)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	leases, err := p.Fetch(t.Context(), []string{"a"})
	if want := "provider under-test: a: provider failed internally, see the broker's log"; err == nil || err.Error() != want || len(leases) > 0 {
		t.Errorf("got %v, %v", leases, err)
	}
	if !strings.Contains(log.String(), `doing="ask the command"`) || strings.Contains(log.String(), "c4nary") {
		t.Errorf("log: %s", &log)
	}
}

// A fault beside the command is told, whatever became of the command.
func TestFaultBesideTheCommand(t *testing.T) {
	failed := make(chan error, 1)
	fault := errors.New("fault")
	failed <- fault
	if err := outcome(t.Context(), nil, nil, failed, nil); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
}
