package cli

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// unreachable is a source that has no configuration, and says why.
type unreachable struct{ configSource }

func (unreachable) String() string           { return "k8s/crd#orders" }
func (unreachable) state() string            { return "cannot reach the API server" }
func (unreachable) changes() <-chan struct{} { return nil }

// A broker that waits for its configuration says so each minute, and for what.
func TestWaitingIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		signals := make(chan os.Signal, 1)
		go func() {
			<-time.After(5*sayWaiting + sayWaiting/2)
			signals <- os.Interrupt
		}()
		why, err := serveOptions{health: "off"}.awaitChange(t.Context(), unreachable{}, signals, nil, slog.New(slog.NewTextHandler(&log, nil)))
		if why != stop || err != nil {
			t.Errorf("%v, %v", why, err)
		}
		if n := strings.Count(log.String(), `level=WARN msg="still waiting for a configuration that works" config=k8s/crd#orders state="cannot reach the API server"`); n != 5 {
			t.Errorf("%d times:\n%s", n, &log)
		}
	})
}
