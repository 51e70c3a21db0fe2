package otlp

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// logEvery is how often a collector that fails is logged.
const logEvery = time.Minute

// maxErrorText bounds what is logged of an error, parts of which a server may
// have chosen.
const maxErrorText = 300

// signal counts what becomes of one kind of requests.
type signal struct {
	name         string
	log          *slog.Logger
	sent, failed atomic.Uint64
	rejected     atomic.Uint64 // data points or spans

	mu      sync.Mutex
	failing bool
	logged  time.Time
	told    time.Time // that some are rejected
}

// done notes how a request has ended, and what of it the collector did not take.
// The first failure is logged, then one a minute, and that it is over.
func (s *signal) done(rejected uint64, err error) {
	s.rejects(rejected)
	if err == nil {
		s.sent.Add(1)
	} else {
		s.failed.Add(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && s.failing:
		s.failing = false
		s.log.Info("the OpenTelemetry collector takes data again", "signal", s.name)
	case err != nil && (!s.failing && time.Since(s.logged) >= time.Second || time.Since(s.logged) >= logEvery):
		s.failing, s.logged = true, time.Now()
		text := err.Error()
		s.log.Warn("cannot send to the OpenTelemetry collector", "signal", s.name, "error", text[:min(len(text), maxErrorText)], "failed", s.failed.Load())
	case err != nil:
		s.failing = true
	}
}

// rejects is no failure: what is rejected must not be sent again, and the rest
// has arrived.
func (s *signal) rejects(n uint64) {
	if n == 0 {
		return
	}
	all := s.rejected.Add(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.told) >= logEvery {
		s.told = time.Now()
		s.log.Warn("the OpenTelemetry collector rejects some of what it is sent; it knows why", "signal", s.name, "rejected", all)
	}
}
