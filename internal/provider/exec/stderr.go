package exec

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// maxLine bounds a line in the log.
	maxLine = 1024
	// Within one logWindow an instance logs at most maxLines lines.
	maxLines  = 60
	logWindow = time.Minute
)

// lineLog writes what commands say to the log, not more than a reader wants.
type lineLog struct {
	log *slog.Logger

	mu      sync.Mutex
	since   time.Time
	lines   int
	dropped int
}

// write logs text line by line; missing is how many bytes there were beyond.
func (l *lineLog) write(level slog.Level, text []byte, missing int) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		cut := len(line) - maxLine
		if cut > 0 {
			line = line[:maxLine]
		}
		l.line(level, strings.ToValidUTF8(string(line), "\uFFFD"), max(cut, 0))
	}
	if missing > 0 {
		l.line(level, "", missing)
	}
}

func (l *lineLog) line(level slog.Level, text string, cut int) {
	if l.log == nil {
		return
	}
	dropped, ok := l.admit(time.Now())
	if dropped > 0 {
		l.log.Warn("lines of the command were not logged", "count", dropped)
	}
	if !ok {
		return
	}
	args := []any{"line", text}
	if cut > 0 {
		args = append(args, "left_out_bytes", cut)
	}
	l.log.Log(context.Background(), level, "command wrote to standard error", args...)
}

// admit says whether one more line may be logged now, and how many were not
// in the window that has just ended.
func (l *lineLog) admit(now time.Time) (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= logWindow {
		dropped = l.dropped
		l.since, l.lines, l.dropped = now, 0, 0
	}
	if l.lines >= maxLines {
		l.dropped++
		return dropped, false
	}
	l.lines++
	return dropped, true
}
