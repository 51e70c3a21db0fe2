package admin

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"secretless/internal/audit"
	"secretless/internal/broker"
	"secretless/internal/harden"
	"secretless/internal/peer"
)

// Status is what the broker says of itself. It holds no secret.
type Status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Config  string `json:"config"`
	// Source is what is known about the way to Config.
	Source string `json:"source,omitempty"`
	Ready  bool   `json:"ready"`
	// Started is when the broker was ready for the first time, Now when it
	// answered, by its own clock.
	Started   time.Time              `json:"started"`
	Now       time.Time              `json:"now"`
	LogLevel  LevelReport            `json:"log_level"`
	Reloads   Reloads                `json:"reloads"`
	Services  []broker.ServiceStatus `json:"services"`
	Providers []Provider             `json:"providers,omitempty"`
	// Hardening is what the process has given up of its rights.
	Hardening *harden.State `json:"hardening,omitempty"`
	// Errors has the last warning or error of every service, and of the broker.
	Errors []Entry `json:"errors,omitempty"`
}

// Reloads counts what became of reloads.
type Reloads struct {
	Succeeded int        `json:"succeeded"`
	Failed    int        `json:"failed"`
	LastTime  *time.Time `json:"lastTime,omitempty"`
	LastError string     `json:"lastError,omitempty"`
}

// Provider is one instance of a provider.
type Provider struct {
	Name     string `json:"name"`
	Lookups  uint64 `json:"lookups"`
	Hits     uint64 `json:"hits"`
	Failures uint64 `json:"failures"`
	// Cached counts the sets of values that are kept now. Down is true while
	// lookups fail at once because there was no answer for a while.
	Cached int  `json:"cached"`
	Down   bool `json:"down"`
	// Answered is when a lookup last succeeded, Failed when one last did not,
	// with LastError.
	Answered  *time.Time `json:"answered,omitempty"`
	Failed    *time.Time `json:"failed,omitempty"`
	LastError string     `json:"last_error,omitempty"`
}

// Connection is one open connection.
type Connection struct {
	ID        uint64                 `json:"id"`
	Service   string                 `json:"service"`
	Connector string                 `json:"connector"`
	State     broker.ConnectionState `json:"state"`
	Draining  bool                   `json:"draining,omitempty"`
	Listener  string                 `json:"listener"`
	Remote    string                 `json:"remote,omitempty"`
	Peer      *Peer                  `json:"peer,omitempty"`
	Target    string                 `json:"target,omitempty"`
	Since     time.Time              `json:"since"`
	// Idle is in seconds; absent where it cannot be told.
	Idle          *float64 `json:"idle,omitempty"`
	BytesToTarget int64    `json:"bytes_to_target"`
	BytesToClient int64    `json:"bytes_to_client"`
}

// Peer is the process at the client's end, as far as the kernel tells.
type Peer struct {
	UID        uint32 `json:"uid"`
	PID        int    `json:"pid,omitempty"`
	Executable string `json:"executable,omitempty"`
}

// Connections is a page of the list.
type Connections struct {
	// Total is how many there are in all.
	Total       int          `json:"total"`
	Connections []Connection `json:"connections"`
	// Next is the after of the page that follows, zero for the last.
	Next uint64 `json:"next,omitempty"`
}

// Drained is the answer to a drain: the services that accept nothing, and how
// many connections of theirs are left.
type Drained struct {
	Services    []string `json:"services"`
	Connections int64    `json:"connections"`
}

// Bounds of a page of connections.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// Operations are what the admin socket can ask of the broker. All are safe for
// concurrent use.
type Operations struct {
	Status      func() Status
	Connections func(broker.ConnectionQuery) ([]broker.ConnectionStatus, int)
	Close       func(ctx context.Context, id uint64) error
	// Reload learns by Caller who asks, who is told the text of its error.
	Reload func(context.Context) error
	Drain  func(services ...string) error
	Level  *Level
	Recent *Recent
	// Log hears who asks for what, Audit what came of it. Of a reload, which has
	// other causes, too, the audit hears elsewhere.
	Log   *slog.Logger
	Audit audit.Sink
}

func connectionOf(c broker.ConnectionStatus) Connection {
	out := Connection{
		ID: c.ID, Service: c.Service, Connector: c.Connector, State: c.State, Draining: c.Draining,
		Listener: c.Listener, Remote: c.Remote, Peer: peerOf(c.Peer), Target: c.Target, Since: c.Since,
		BytesToTarget: c.ToTarget, BytesToClient: c.ToClient,
	}
	if c.Idle >= 0 {
		seconds := c.Idle.Seconds()
		out.Idle = &seconds
	}
	return out
}

func peerOf(id peer.Identity) *Peer {
	if !id.Known {
		return nil
	}
	return &Peer{UID: id.UID, PID: id.PID, Executable: id.Executable}
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }

// ParseLevel reads debug, info, warn or error.
func ParseLevel(text string) (level slog.Level, ok bool) {
	err := level.UnmarshalText([]byte(text))
	// slog takes error+1000, too, at which nothing is logged.
	return level, err == nil && !strings.ContainsAny(text, "+-")
}
