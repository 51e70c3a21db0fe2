// Package connector is the contract between the broker and the protocols it
// speaks. A connector lives in a folder of its own below this one and imports
// this package, secret, target, relay and its codec; never another connector,
// a provider, config or broker.
package connector

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"time"

	"secretless/internal/peer"
	"secretless/internal/secret"
	"secretless/internal/stage"
)

// Connector speaks one protocol for one service.
type Connector interface {
	// ServeConn owns the protocol from the client's first byte on. It ends in
	// one of three ways: it hands the pair over with s.Relay and returns nil;
	// it has served the connection to its end and returns nil; or it failed,
	// has told the client in the protocol's own terms, and returns the error
	// (best a *Failure, which carries what the log and the audit need).
	//
	// It never closes s.Client: the broker does. It closes a target connection
	// that it did not hand over. When ctx ends (handshake timeout, drain,
	// stop; see context.Cause) reads of s.Client fail at once while writes
	// have about a second left for the last message. A nil or io.EOF-like end
	// before the client's first byte is a probe: return nil without having
	// asked for credentials.
	//
	// Safe for concurrent use.
	ServeConn(ctx context.Context, s *Session) error
}

// Refuser is implemented by connectors that can say no in their protocol. The
// broker calls it in place of ServeConn for a connection over the service's
// limit or one that arrives while the service stops, with a short deadline. It
// must not ask for credentials, except to forward a cancel request or the
// like, which a full service needs most of all. Without it such connections
// are simply closed.
type Refuser interface {
	Refuse(ctx context.Context, s *Session, why *Failure) error
}

// Starter is implemented by connectors that need something before the first
// connection: a host key, a message for the log. Start is called once, when the
// service is about to listen; its error keeps the whole configuration from
// being applied. It connects nowhere and asks for no credentials. Validation
// does not call it.
type Starter interface{ Start() error }

// Closer is implemented by connectors that hold something between connections
// (caches, pools). Close is called once, after the last connection ended.
type Closer interface{ Close() }

// Drainer is implemented by connectors whose connections could live on for
// ever between two requests. Drain is called once, when the service stops or is
// replaced: no connection will be added, and those there are should end when
// what they are doing is done. It does not wait for them.
type Drainer interface{ Drain() }

// Session is one accepted and authorised connection.
type Session struct {
	// ID is unique in the process; log lines and audit events carry it.
	ID uint64
	// Service is the service's name, for messages.
	Service string
	// Client is the local program, in a layer of the broker's that counts what
	// passes. A connector that upgrades to TLS puts the *tls.Conn here, so that
	// the relay speaks through it.
	Client net.Conn
	// Peer is the process behind Client, where the platform can tell.
	Peer peer.Identity
	// Log carries service and connection attributes already.
	Log *slog.Logger
	// Credentials resolves what the target needs, when it is needed.
	Credentials Credentials
	// ClientTLS is the listener's TLS configuration; nil means plain text.
	ClientTLS *tls.Config
	// ConnectTimeout bounds the dial to the target (name, TCP and TLS).
	ConnectTimeout time.Duration
	// HandshakeTimeout bounds the reading of each request's head, for
	// connectors that serve one after the other; zero means no bound. The
	// broker itself bounds what comes before Established.
	HandshakeTimeout time.Duration
	// OnEstablished is set by the broker; call Established.
	OnEstablished func()
	// OnReached is set by the broker where somebody listens; call Reached.
	OnReached func(ctx context.Context, t Target) error
	// OnRotated is set by the broker where somebody listens.
	OnRotated func()
	// OnUse is set by the broker; call Used.
	OnUse func(ctx context.Context, what string) error
	// OnExchange is set by the broker where somebody listens; call Asked and
	// Answered.
	OnExchange func(ctx context.Context, e Exchange) error

	// OnRequest is set by the broker; call Request.
	OnRequest func(ctx context.Context, r Request) (context.Context, Served)
	// OnUnserved is set by the broker; call Unserved.
	OnUnserved func(u Unserved)

	handoff *Handoff
}

// Credentials is the lazy side of a session: a probe costs no lookup.
type Credentials interface {
	// Get resolves every credential of the service, consistently: values of
	// one provider come from one lookup. The caller wipes the set. Errors name
	// provider and id, never a value or a provider's response body.
	Get(ctx context.Context) (*secret.Set, error)
	// Rejected says that the target refused set with its authentication
	// error. It drops the cache entries that set came from and reports
	// whether a fresh lookup can yield something else.
	Rejected(set *secret.Set) (retry bool)
	// Drop is Rejected without the verdict on the secret: the target denied
	// the login for a reason that may lie with the client, so it does not
	// count against the credentials.
	Drop(set *secret.Set) (retry bool)
	// Accepted says that the target took set.
	Accepted(set *secret.Set)
}

// Handoff is an established pair for the relay.
type Handoff struct {
	// Target is the logged-in connection. The relay closes it.
	Target net.Conn
	// FromClient and FromTarget were read ahead by the codec and are
	// delivered (to Target and to Client) before anything else.
	FromClient, FromTarget []byte
	// Closer, if not nil, is closed once after both sides are.
	Closer io.Closer
}

// Relay hands the pair over; it is the last thing a ServeConn does. The relay
// starts when ServeConn has returned, so that an idle connection holds no
// goroutine. The deadlines of both sides are cleared by the broker.
func (s *Session) Relay(h Handoff) error {
	s.handoff = &h
	return nil
}

// Handoff returns what Relay was given, nil if the connector served the
// connection itself. For the broker and tests.
func (s *Session) Handoff() *Handoff { return s.handoff }

// Established ends the handshake timeout for connectors that go on serving
// the connection themselves, and begins limits.idleTimeout: ctx ends when
// nothing has passed over Client for that long. Relay implies it.
func (s *Session) Established() {
	if s.OnEstablished != nil {
		s.OnEstablished()
	}
}

// Used records in the audit that the client had a credential used: what says
// which and for what, in a few words without any secret, for instance the
// fingerprint of a key that signed. Where the audit is required and cannot be
// written, it returns an error, and the use must not happen.
func (s *Session) Used(ctx context.Context, what string) error {
	if s.OnUse == nil {
		return nil
	}
	return s.OnUse(ctx, what)
}

// Exchange is one request and the answer to it, for connectors that serve many
// of them, perhaps for several services, on one connection.
type Exchange struct {
	// Service and Kind are the member's where the address is shared.
	Service, Kind string
	// What says what was asked for without any secret: method and URL, no query.
	What string
	// Method, Host and Path are its parts, Host with a port where that is not
	// the scheme's own; the path as the client wrote it, without a query.
	Method, Scheme, Host, Path string
	// TLS is that of the connection which the answer came from.
	TLS *tls.ConnectionState
	// Status is the answer's, in the protocol's own numbers; zero while there
	// is none.
	Status int
	// ToTarget and ToClient count the bytes of the bodies.
	ToTarget, ToClient int64
	Duration           time.Duration
}

// Audited says whether Asked and Answered have any effect.
func (s *Session) Audited() bool { return s.OnExchange != nil }

// Asked records that a credential is about to be used for e. Where the audit is
// required and cannot be written, it returns an error, and the use must not
// happen.
func (s *Session) Asked(ctx context.Context, e Exchange) error {
	if s.OnExchange == nil {
		return nil
	}
	return s.OnExchange(ctx, e)
}

// Answered records how e, whose Status is not zero, has ended.
func (s *Session) Answered(e Exchange) {
	if s.OnExchange != nil {
		_ = s.OnExchange(context.Background(), e) // what is over cannot be prevented
	}
}

// Request is one of many on a connection, as it begins.
type Request struct {
	// Name is its method, if that is a well-known one.
	Name string
	// From is the trace that the client says it belongs to.
	From stage.Parent
}

// Served is a request under way.
type Served struct {
	// To is the trace that the target is told; the zero value means that the
	// request stays as it is.
	To stage.Parent
	// End is called once.
	End func(Answer)
}

// Answer is how a request has ended.
type Answer struct {
	// Service and Kind are the member's where the address is shared.
	Service, Kind string
	// Status is the answer's, in the protocol's own numbers; zero without one.
	Status int
	// Target is the host, and port, that it went to; empty for nowhere.
	Target string
}

// Request begins a request: it is counted, timed and traced. The context that
// it returns is that of all work on it.
func (s *Session) Request(ctx context.Context, r Request) (context.Context, Served) {
	if s.OnRequest == nil {
		return ctx, Served{End: func(Answer) {}}
	}
	return s.OnRequest(ctx, r)
}

// Unserved is a request that is answered with an error of the broker's own,
// though the client did nothing wrong: the target cannot be reached, or there is
// no credential.
type Unserved struct {
	// What says what was asked for, as that of an Exchange.
	What string
	// Status is what the client is told, in the protocol's own numbers, and Text
	// why, without any secret.
	Status int
	Text   string
}

// Unserved counts and logs a request like a connection that failed.
func (s *Session) Unserved(u Unserved) {
	if s.OnUnserved != nil {
		s.OnUnserved(u)
	}
}

// Authenticate resolves the credentials and runs attempt with them. When the
// attempt ends in a Failure of kind KindRejected or KindDenied and the
// credentials came from a cache, they are dropped, fetched once more, and the attempt is repeated:
// attempt must therefore open a fresh target connection each time and must not
// have told the client anything yet. The set is wiped when attempt returns.
func (s *Session) Authenticate(ctx context.Context, attempt func(context.Context, *secret.Set) error) error {
	err, retry := s.authenticateOnce(ctx, attempt)
	if retry {
		s.Log.Info("target rejected cached credentials, fetching them again", "error", err)
		stage.Mark(ctx, stage.Rotation)
		if err, _ = s.authenticateOnce(ctx, attempt); err == nil {
			s.rotated()
		}
	}
	return err
}

func (s *Session) authenticateOnce(ctx context.Context, attempt func(context.Context, *secret.Set) error) (err error, retry bool) {
	set, err := s.Credentials.Get(ctx)
	if err != nil {
		return &Failure{Kind: KindCredentials, Err: err}, false
	}
	defer set.Wipe()
	inner, end := stage.Begin(ctx, stage.Authenticate, "")
	err = attempt(inner, set)
	end(err)
	switch {
	case err == nil:
		s.Credentials.Accepted(set)
	case KindOf(err) == KindRejected:
		retry = s.Credentials.Rejected(set)
	case KindOf(err) == KindDenied:
		retry = s.Credentials.Drop(set)
	}
	return err, retry
}
