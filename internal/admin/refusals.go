package admin

import (
	"fmt"
	"sync"
	"time"

	"secretless/internal/audit"
	"secretless/internal/peer"
)

const (
	// recordEach refusals of a user are recorded one by one in a recordWindow; of
	// the others, how many they were.
	recordEach   = 5
	recordWindow = time.Minute
	// maxRefused users are told apart in a window: whoever has many, by user
	// namespaces, shares with others.
	maxRefused = 32
)

// refusals records who was refused at the admin socket, so that one who tries for
// ever can neither fill the disk of the audit nor hide anything in it. Safe for
// concurrent use.
type refusals struct {
	audit    audit.Sink
	flushing sync.Mutex

	mu    sync.Mutex
	of    map[refused]*tally // of this window
	timer *time.Timer        // ends the window; nil between two
	over  bool
}

// refused is a user, or whoever is not known or too many: the zero value.
type refused struct {
	known bool
	uid   uint32
}

type tally struct {
	recorded int
	held     uint64
	last     peer.Identity
}

func (r *refusals) record(id peer.Identity) {
	r.mu.Lock()
	t := r.tally(refused{id.Known, id.UID})
	t.last = id
	each := t.recorded < recordEach || r.over
	if each {
		t.recorded++
	} else {
		t.held++
	}
	r.mu.Unlock()
	if each {
		r.audit.Record(turnedAway(id, ""))
	}
}

// tally finds or begins that of a user; the first of a window begins the window.
func (r *refusals) tally(who refused) *tally {
	if r.of == nil {
		r.of = map[refused]*tally{}
	}
	if r.timer == nil && !r.over {
		r.timer = time.AfterFunc(recordWindow, r.flush)
	}
	if len(r.of) >= maxRefused && r.of[who] == nil {
		who = refused{}
	}
	if r.of[who] == nil {
		r.of[who] = &tally{}
	}
	return r.of[who]
}

// flush ends the window: what was held back becomes one event for each user.
func (r *refusals) flush() {
	r.flushing.Lock() // close waits for the last
	defer r.flushing.Unlock()
	r.mu.Lock()
	ended := r.of
	r.of, r.timer = nil, nil
	r.mu.Unlock()
	for who, t := range ended {
		if t.held == 0 {
			continue
		}
		id := peer.Identity{} // of several there is no one process
		if who.known {
			id = peer.Identity{Known: true, UID: t.last.UID, GID: t.last.GID}
		}
		r.audit.Record(turnedAway(id, fmt.Sprintf("%d more within %s", t.held, recordWindow)))
	}
}

// close records what is left. It is called once nobody is accepted any more.
func (r *refusals) close() {
	r.mu.Lock()
	r.over = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.flush()
}

func turnedAway(id peer.Identity, detail string) audit.Event {
	return audit.Event{
		Time: time.Now(), Type: audit.Admin, Action: audit.ActionConnect, Outcome: audit.Fail, Peer: id, Detail: detail,
	}
}
