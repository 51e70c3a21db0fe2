package admin

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// keptEntries are kept of all together, keptOfService of each service, so
	// that one that floods the log leaves the others' last words readable.
	keptEntries   = 256
	keptOfService = 8
	// maxServices bounds the names of services that come and go with reloads.
	maxServices = 1024
	// maxEntryText bounds what is kept of one line.
	maxEntryText = 512
)

// Entry is a warning or an error of the log.
type Entry struct {
	// Seq counts entries from 1.
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Service string    `json:"service,omitempty"`
	// Text is the message with the attributes that matter, cut where it is long.
	Text string `json:"text"`
}

// Recent keeps the last warnings and errors that are logged through Handler.
// Safe for concurrent use.
type Recent struct {
	mu      sync.Mutex
	last    uint64
	all     []Entry // a ring: entry n is at n % keptEntries
	of      map[string][]Entry
	changed chan struct{}
}

// NewRecent makes one that has kept nothing yet.
func NewRecent() *Recent {
	return &Recent{all: make([]Entry, keptEntries), of: map[string][]Entry{}, changed: make(chan struct{})}
}

func (r *Recent) add(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Seq = r.last
	r.all[e.Seq%keptEntries] = e
	mine := r.of[e.Service]
	if mine == nil && len(r.of) >= maxServices {
		r.forget()
	}
	if len(mine) == keptOfService {
		mine = slices.Delete(mine, 0, 1)
	}
	r.of[e.Service] = append(mine, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// forget drops the service that has been silent for longest.
func (r *Recent) forget() {
	oldest, seq := "", r.last
	for name, entries := range r.of {
		if s := entries[len(entries)-1].Seq; s < seq {
			oldest, seq = name, s
		}
	}
	delete(r.of, oldest)
}

// After lists what came after the entry numbered seq, oldest first, and returns
// a channel that is closed when there is more. Entries that are gone are left
// out.
func (r *Recent) After(seq uint64) ([]Entry, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last > keptEntries {
		seq = max(seq, r.last-keptEntries)
	}
	var out []Entry
	for n := seq + 1; n <= r.last; n++ {
		out = append(out, r.all[n%keptEntries])
	}
	return out, r.changed
}

// Of lists the last entries of one service, oldest first; of what belongs to no
// service for an empty name.
func (r *Recent) Of(service string) []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.of[service])
}

// Last lists the newest entry of each service, in their order.
func (r *Recent) Last() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Entry, 0, len(r.of))
	for _, entries := range r.of {
		out = append(out, entries[len(entries)-1])
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// Handler passes records on to next and keeps those that are warnings or worse,
// whatever level next logs at. What is kept is what the log shows.
func (r *Recent) Handler(next slog.Handler) slog.Handler { return &keeper{recent: r, next: next} }

type keeper struct {
	recent *Recent
	next   slog.Handler
	attrs  []slog.Attr
	groups string
}

// Enabled is true for all that is kept.
func (k *keeper) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || k.next.Enabled(ctx, level)
}

// Handle keeps r and passes it on.
func (k *keeper) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		k.recent.add(k.entry(r))
	}
	if !k.next.Enabled(ctx, r.Level) {
		return nil
	}
	return k.next.Handle(ctx, r)
}

// WithAttrs remembers attrs for the entries.
func (k *keeper) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *k
	out.next = k.next.WithAttrs(attrs)
	for _, a := range attrs {
		a.Key = k.groups + a.Key
		out.attrs = append(slices.Clip(out.attrs), a)
	}
	return &out
}

// WithGroup prefixes the names of what comes.
func (k *keeper) WithGroup(name string) slog.Handler {
	out := *k
	out.next = k.next.WithGroup(name)
	out.groups += name + "."
	return &out
}

// untold are attributes that say nothing in a list of entries.
var untold = []string{"connector", "stack"}

func (k *keeper) entry(r slog.Record) Entry {
	e := Entry{Time: r.Time, Level: levelName(r.Level)}
	var text strings.Builder
	text.WriteString(r.Message)
	note := func(a slog.Attr) bool {
		switch {
		case a.Key == "service" && e.Service == "":
			e.Service = a.Value.String()
		case a.Key == "error":
			text.WriteString(": " + a.Value.Resolve().String())
		case text.Len() <= maxEntryText && !slices.Contains(untold, a.Key):
			text.WriteString(" " + a.Key + "=" + a.Value.Resolve().String())
		}
		return true
	}
	// Why comes first: the end is cut where the line is long.
	r.Attrs(func(a slog.Attr) bool { return a.Key != "error" || note(a) })
	for _, a := range k.attrs {
		note(a)
	}
	r.Attrs(func(a slog.Attr) bool { return a.Key == "error" || note(a) })
	e.Service, e.Text = cut(e.Service), cut(text.String())
	return e
}

func cut(text string) string {
	if len(text) <= maxEntryText {
		return text
	}
	end := maxEntryText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
