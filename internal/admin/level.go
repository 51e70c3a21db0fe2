package admin

import (
	"log/slog"
	"sync"
	"time"
)

// Level is a log level that can be changed while the broker runs, for a while
// or for good. Safe for concurrent use.
type Level struct {
	v *slog.LevelVar

	mu     sync.Mutex
	usual  slog.Level
	until  time.Time
	timer  *time.Timer
	closed bool
}

// NewLevel makes a Level that begins with usual.
func NewLevel(usual slog.Level) *Level {
	l := &Level{v: new(slog.LevelVar), usual: usual}
	l.v.Set(usual)
	return l
}

// Level is what is logged now; it makes a Level a slog.Leveler.
func (l *Level) Level() slog.Level { return l.v.Level() }

// Set changes the level, for so long or, if that is zero, for good.
func (l *Level) Set(level slog.Level, during time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.v.Set(level)
	if during <= 0 {
		l.usual, l.until, l.timer = level, time.Time{}, nil
		return
	}
	until := time.Now().Add(during)
	l.until = until
	l.timer = time.AfterFunc(during, func() { l.back(until) })
}

// back ends what was set until then, unless something else was set since.
func (l *Level) back(then time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.Equal(then) && !l.closed {
		l.v.Set(l.usual)
		l.until, l.timer = time.Time{}, nil
	}
}

// Close leaves the level as it is.
func (l *Level) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// LevelReport is a level as clients see it.
type LevelReport struct {
	Level string `json:"level"`
	// Until and Then are when it ends and what comes after; absent for a level
	// that stays.
	Until *time.Time `json:"until,omitempty"`
	Then  string     `json:"then,omitempty"`
}

// Report says what is in force.
func (l *Level) Report() LevelReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := LevelReport{Level: levelName(l.v.Level())}
	if !l.until.IsZero() {
		until := l.until
		r.Until, r.Then = &until, levelName(l.usual)
	}
	return r
}
