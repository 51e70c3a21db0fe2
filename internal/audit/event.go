// Package audit writes down who connected to what through the broker, one
// JSON object a line. Events hold no error text and no value of a credential,
// so that the file can be given to people who may see neither.
package audit

import (
	"time"

	"secretless/internal/peer"
)

// Type says what happened. Every opened connection ends in exactly one closed
// or failed event; a refused one was never opened.
type Type string

// The types of events about connections.
const (
	Opened    Type = "opened"    // authorised; nothing of it was read yet
	Refused   Type = "refused"   // not authorised, over a limit, or not recordable
	Connected Type = "connected" // Target is logged in to; nothing was exchanged yet
	Failed    Type = "failed"    // opened, but the handshake did not succeed
	Closed    Type = "closed"    // opened, served and ended
	Used      Type = "used"      // a credential is used for the client once more: Detail says which or for what
	// Answered follows on Used for a request that had an answer.
	Answered Type = "answered"
)

// The types of events about the broker.
const (
	Started Type = "started" // the first of a run
	Stopped Type = "stopped" // the last of a run that ended in order
	Reload  Type = "reload"  // the configuration was read again; Outcome says whether it was taken
	Rotated Type = "rotated" // credentials of a service are others than before
	Lost    Type = "lost"    // Count events before this one could not be written
	// Admin is what somebody has asked for through the admin socket: Action,
	// about Detail or Connection.
	Admin Type = "admin"
)

// The actions of an Admin event.
const (
	ActionConnect = "connect"   // by another user, who was refused
	ActionClose   = "close"     // of Connection
	ActionDrain   = "drain"     // of the services in Detail
	ActionLevel   = "log-level" // to the one in Detail
	ActionProfile = "profile"   // of the kind in Detail
)

// The outcomes of Reload and Admin events.
const (
	OK   = "ok"
	Fail = "failed"
)

// The reasons of Rotated.
const (
	// Changed: a lookup brought another value than the one before.
	Changed = "changed"
	// Rejected: the target refused the value, and one that was fetched anew
	// was taken.
	Rejected = "rejected"
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
	// Target is who answered: of Connected and, over TLS, of Answered events.
	Target *Target
	// Credentials are where those come from that are used.
	Credentials []Reference
	// Request is the HTTP request of a Used or Answered event.
	Request *Request
	// Reason is a short stable word, for refused, failed, rotated and, where a
	// connection did not end in order, closed.
	Reason string
	// Action is what an Admin event is about.
	Action string
	// Detail says what a Used, Answered or Admin event is about.
	Detail string
	// Status is that of an Answered event, in the protocol's own numbers.
	Status int
	// ToTarget and ToClient count relayed bytes. Where the connector serves the
	// connection itself they are what the client sent and was sent, for an
	// Answered event the bytes of the bodies.
	ToTarget, ToClient int64
	// Duration is from accept, or from the request or the start, to the end.
	Duration time.Duration
	// By is what caused a Reload or Stopped: signal, watch, admin, retry, start
	// or context.
	By string
	// Outcome is that of a Reload or an Admin event, Errors how many mistakes a
	// Reload found.
	Outcome string
	Errors  int
	// Services is how many run now, after Started and Reload.
	Services int
	// Version is the broker's, Config where its configuration is from.
	Version, Config string
	// Count is how many events a Lost event stands for.
	Count uint64
}

// urgent says that somebody should look at it, for syslog's severity.
func (e Event) urgent() bool {
	return e.Type == Refused || e.Type == Failed || e.Type == Lost || e.Outcome == Fail
}

// Target is who answered at the other end.
type Target struct {
	// Address is where it was looked for, Remote the address that answered.
	Address, Remote string
	TLS             *TLS
	// HostKey is the fingerprint of an SSH host key.
	HostKey string
	// Verified says that the certificate or host key was checked. Otherwise it
	// is what whoever answered has shown.
	Verified bool
}

// TLS is what the target's certificate says. Its texts are the target's.
type TLS struct {
	Version         string
	Subject, Issuer string
	// Names are the first of its DNS names and addresses.
	Names []string
	// SHA256 is the certificate's fingerprint, in hex.
	SHA256 string
}

// Reference is where a credential comes from, never its value.
type Reference struct {
	Name string
	// From is the provider instance, Get the id in it, empty where that could
	// be a secret itself.
	From, Get string
}

// Request is an HTTP request to where it goes.
type Request struct {
	Method, Scheme, Host string
	// Path is without the query.
	Path string
}
