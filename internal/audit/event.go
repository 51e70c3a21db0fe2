// Package audit writes down who connected to what through the broker, one
// JSON object a line. Events hold no error text and no value of a credential,
// so that the file can be given to people who may see neither.
package audit

import (
	"bytes"
	"encoding/json"
	"time"

	"secretless/internal/peer"
)

// Type says what happened to a connection. Every opened connection ends in
// exactly one closed or failed event; a refused one was never opened.
type Type string

// The types of events.
const (
	Opened  Type = "opened"  // authorised; nothing of it was read yet
	Refused Type = "refused" // not authorised, over a limit, or not recordable
	Failed  Type = "failed"  // opened, but the handshake did not succeed
	Closed  Type = "closed"  // opened, served and ended
	Used    Type = "used"    // a credential is used for the client once more: Detail says which or for what
	// Answered follows on Used for a request that had an answer.
	Answered Type = "answered"
	Lost     Type = "lost" // Count events before this one could not be written
)

// Event is one line. Fields that do not apply to its Type are zero and left
// out of the line.
type Event struct {
	Time       time.Time
	Type       Type
	Service    string
	Connector  string
	Connection uint64
	// Listener and Remote are the two ends of the client's socket.
	Listener, Remote string
	Peer             peer.Identity
	// Reason is a short stable word, for refused, failed and, where a
	// connection did not end in order, closed.
	Reason string
	// Detail says what a Used or Answered event is about.
	Detail string
	// Status is that of an Answered event, in the protocol's own numbers.
	Status int
	// ToTarget and ToClient count relayed bytes. Where the connector serves the
	// connection itself they are what the client sent and was sent, for an
	// Answered event the bytes of the bodies.
	ToTarget, ToClient int64
	// Duration is from accept, or from the request, to the end.
	Duration time.Duration
	// Count is how many events a Lost event stands for.
	Count uint64
}

type line struct {
	Time       string    `json:"time"`
	Event      Type      `json:"event"`
	Service    string    `json:"service,omitempty"`
	Connector  string    `json:"connector,omitempty"`
	Connection uint64    `json:"connection,omitempty"`
	Listener   string    `json:"listener,omitempty"`
	Remote     string    `json:"remote,omitempty"`
	Peer       *peerLine `json:"peer,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Detail     string    `json:"detail,omitempty"`
	Status     int       `json:"status,omitempty"`
	ToTarget   *int64    `json:"bytes_to_target,omitempty"`
	ToClient   *int64    `json:"bytes_to_client,omitempty"`
	Seconds    *float64  `json:"seconds,omitempty"`
	Count      uint64    `json:"count,omitempty"`
}

type peerLine struct {
	UID        uint32  `json:"uid"`
	GID        *uint32 `json:"gid,omitempty"` // known with the process only
	PID        int     `json:"pid,omitempty"`
	Executable string  `json:"executable,omitempty"`
}

// Line is the event as it is written, with its newline. Whatever a name or a
// path holds is escaped, so that it cannot start a line of its own.
func (e Event) Line() []byte {
	l := line{
		Time: e.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), Event: e.Type,
		Service: e.Service, Connector: e.Connector, Connection: e.Connection,
		Listener: e.Listener, Remote: e.Remote, Reason: e.Reason, Detail: e.Detail, Status: e.Status, Count: e.Count,
	}
	if e.Peer.Known {
		l.Peer = &peerLine{UID: e.Peer.UID, PID: e.Peer.PID, Executable: e.Peer.Executable}
		if e.Peer.PID != 0 {
			l.Peer.GID = &e.Peer.GID
		}
	}
	if e.Type == Closed || e.Type == Answered {
		l.ToTarget, l.ToClient = &e.ToTarget, &e.ToClient
	}
	if e.Type == Closed || e.Type == Failed || e.Type == Answered {
		s := e.Duration.Round(time.Microsecond).Seconds()
		l.Seconds = &s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// Strings and numbers always encode: a duration is finite.
	_ = enc.Encode(l)
	return b.Bytes()
}
