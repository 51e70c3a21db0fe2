package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"secretless/internal/audit"
	"secretless/internal/broker"
)

const (
	// maxBody bounds the body of a request.
	maxBody = 4 << 10
	// closeTimeout is how long a connection that is closed may take to go.
	closeTimeout = 10 * time.Second
	// maxLevelTime is the longest that a level can be set for: beyond a day it
	// is meant for good.
	maxLevelTime = 24 * time.Hour
)

// Control answers what is asked on the admin socket, below /v1/. Nothing of it
// tells a secret.
func Control(o Operations) http.Handler {
	c := &control{Operations: o, profiles: newProfiles(), streams: make(chan struct{}, maxStreams)}
	mux := http.NewServeMux()
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /v1/status":              c.status,
		"GET /v1/connections":         c.list,
		"DELETE /v1/connections/{id}": c.close,
		"POST /v1/reload":             c.reload,
		"POST /v1/drain":              c.drain,
		"GET /v1/log-level":           c.level,
		"PUT /v1/log-level":           c.setLevel,
		"GET /v1/errors":              c.errors,
		"GET /v1/events":              c.events,
		"GET /v1/profiles/{name}":     c.profile,
		// As they were before there were versions.
		"GET /status":  c.status,
		"POST /reload": c.reload,
	} {
		mux.HandleFunc(pattern, h)
	}
	return mux
}

type control struct {
	Operations
	profiles *profiles
	streams  chan struct{}
}

func (c *control) status(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, c.Status())
}

func (c *control) list(w http.ResponseWriter, r *http.Request) {
	q := broker.ConnectionQuery{Service: r.FormValue("service")}
	after, err := number(r, "after", 0)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	limit, err := number(r, "limit", DefaultPage)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	q.After, q.Limit = after, int(min(limit, MaxPage))
	found, total := c.Connections(q)
	page := Connections{Total: total, Connections: make([]Connection, 0, len(found))}
	for _, one := range found {
		page.Connections = append(page.Connections, connectionOf(one))
	}
	if q.Limit > 0 && len(found) == q.Limit {
		page.Next = found[len(found)-1].ID
	}
	reply(w, http.StatusOK, page)
}

func number(r *http.Request, name string, usual uint64) (uint64, error) {
	text := r.FormValue(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s must be a number", name)
	}
	return n, nil
}

func (c *control) close(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, errors.New("the id of a connection is a number"))
		return
	}
	c.asked(r, "close a connection", "connection", id)
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), closeTimeout)
	defer cancel()
	err = c.Close(ctx, id)
	c.ended(r, audit.Event{Action: audit.ActionClose, Connection: id}, began, err)
	switch {
	case errors.Is(err, broker.ErrNoConnection):
		refuse(w, http.StatusNotFound, fmt.Errorf("no connection with the id %d is open", id))
	case err != nil:
		refuse(w, http.StatusGatewayTimeout, fmt.Errorf("connection %d: %w", id, err))
	default:
		reply(w, http.StatusOK, map[string]uint64{"closed": id})
	}
}

func (c *control) reload(w http.ResponseWriter, r *http.Request) {
	c.asked(r, "reload")
	// A reload that has begun is finished whether or not the client waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTimeout)
	defer cancel()
	if err := c.Reload(ctx); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	reply(w, http.StatusOK, map[string]bool{"reloaded": true})
}

func (c *control) drain(w http.ResponseWriter, r *http.Request) {
	services := r.URL.Query()["service"]
	c.asked(r, "drain", "services", services)
	began := time.Now()
	err := c.Drain(services...)
	c.ended(r, audit.Event{Action: audit.ActionDrain, Detail: drainText(services)}, began, err)
	if _, unknown := errors.AsType[*broker.UnknownServiceError](err); unknown {
		refuse(w, http.StatusNotFound, err)
		return
	}
	if err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	var out Drained
	for _, s := range c.Status().Services {
		if s.Drained {
			out.Services, out.Connections = append(out.Services, s.Name), out.Connections+int64(s.Draining)
		}
	}
	reply(w, http.StatusOK, out)
}

func (c *control) level(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, c.Level.Report())
}

// LevelRequest is the body of a change of the log level.
type LevelRequest struct {
	Level string `json:"level"`
	// For is a duration such as 10m, after which the level before comes back.
	For string `json:"for,omitempty"`
}

func (c *control) setLevel(w http.ResponseWriter, r *http.Request) {
	var q LevelRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		refuse(w, http.StatusBadRequest, errors.New(`the body must be an object such as {"level":"debug","for":"10m"}`))
		return
	}
	level, during, err := q.parse()
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	began := time.Now()
	c.Level.Set(level, during)
	// After it, so that a change to info or below shows in the log.
	c.asked(r, "log level", "level", q.Level, "for", during.String())
	c.ended(r, audit.Event{Action: audit.ActionLevel, Detail: levelText(level, during)}, began, nil)
	reply(w, http.StatusOK, c.Level.Report())
}

func (q LevelRequest) parse() (level slog.Level, during time.Duration, err error) {
	level, ok := ParseLevel(q.Level)
	if !ok {
		return 0, 0, errors.New("the level must be debug, info, warn or error")
	}
	if q.For == "" {
		return level, 0, nil
	}
	during, err = time.ParseDuration(q.For)
	if err != nil || during <= 0 || during > maxLevelTime {
		return 0, 0, fmt.Errorf("for must be a duration such as 10m, of %v at most", maxLevelTime)
	}
	return level, during, nil
}

func (c *control) errors(w http.ResponseWriter, r *http.Request) {
	var list []Entry
	if q := r.URL.Query(); q.Has("service") {
		list = c.Recent.Of(q.Get("service"))
	} else {
		list, _ = c.Recent.After(0)
	}
	if list == nil {
		list = []Entry{}
	}
	reply(w, http.StatusOK, map[string][]Entry{"errors": list})
}

// refuse answers with the text of err, which clients show.
func refuse(w http.ResponseWriter, code int, err error) {
	http.Error(w, strings.Map(printable, err.Error()), code)
}
