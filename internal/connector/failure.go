package connector

import "errors"

// Kind says which part of making a connection failed, so that every protocol
// can pick its own code for it and the log and audit can count it.
type Kind int

// The kinds of Failure.
const (
	KindInternal    Kind = iota // ours: a bug or a recovered panic
	KindCredentials             // a provider failed, was slow, or lacks an id
	KindResolve                 // the target's name has no address
	KindConnect                 // the target does not accept connections
	KindTLS                     // TLS was refused, failed, or could not be verified
	KindRejected                // the target says that the secret is wrong
	KindDenied                  // the target denies the login, for the credentials or for another reason
	KindTarget                  // the target refused for another reason of its own
	KindTargetLost              // the target closed or broke off during the handshake
	KindProtocol                // one side does not speak the protocol
	KindTimeout                 // a deadline of ours passed
	KindLimit                   // the service's connection limit is reached
	KindStopping                // the service or the broker stops
	KindConfig                  // a credential or setting has an unusable value
	KindClientGone              // the client went away during the handshake
)

// String is the kind's name in logs, audit events and metrics: a stable,
// lower-case word.
func (k Kind) String() string {
	names := [...]string{
		"internal", "credentials", "resolve", "connect", "tls", "rejected", "denied", "target",
		"target-lost", "protocol", "timeout", "limit", "stopping", "config", "client-gone",
	}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Failure is why a connection could not be made. Its text is for the client
// and the log both: what was being done, on what, why, what to do; never a
// secret, never a provider's response body.
type Failure struct {
	Kind Kind
	// Err holds the text and what it wraps.
	Err error
	// Native is the target's own error in its protocol's type, to be passed
	// through to the client as it is; nil if the broker speaks itself.
	Native any
}

// Error is the text of Err.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// KindOf finds the Failure in err's chain; KindInternal where there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Kind
	}
	return KindInternal
}
