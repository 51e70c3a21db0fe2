package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"secretless/internal/plainjson"
)

const (
	// maxStreams bounds streams, so that they leave places for requests.
	maxStreams = 8
	// heartbeat is how often a stream without news shows that it lives.
	heartbeat = 15 * time.Second
	// writeTimeout is how long a client of a stream may take for what is sent.
	writeTimeout = 10 * time.Second
)

// Event is one line of the stream: an Entry, or nothing, to show that the
// stream lives. Missed says how many entries before this one were gone already.
type Event struct {
	*Entry
	Missed uint64 `json:"missed,omitempty"`
}

// events sends warnings and errors as they come, one JSON object a line, until
// the client leaves or the broker stops. The log never waits for a client: one
// that reads slowly misses entries, one that does not read is left.
func (c *control) events(w http.ResponseWriter, r *http.Request) {
	seq, err := number(r, "after", 0)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		refuse(w, http.StatusServiceUnavailable, errors.New("there are as many event streams as the broker allows"))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	lines := json.NewEncoder(plainjson.Writer(w))
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for first := true; ; first = false {
		entries, more := c.Recent.After(seq)
		if len(entries) > 0 || !first {
			_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		for n := range entries {
			e := Event{Entry: &entries[n]}
			if !first && n == 0 && e.Seq > seq+1 {
				e.Missed = e.Seq - seq - 1
			}
			if lines.Encode(e) != nil {
				return
			}
			seq = e.Seq
		}
		if len(entries) == 0 && !first && lines.Encode(Event{}) != nil {
			return
		}
		if out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-more:
		case <-beat.C:
		}
	}
}
