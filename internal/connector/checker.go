package connector

import "context"

// Checker is implemented by connectors that can try out their target without a
// client.
type Checker interface {
	// Check logs in to the target with the session's credentials, by the code
	// that does it for clients, and leaves again: it asks for nothing and
	// changes nothing. The session has no Client and no Peer; its Credentials
	// are resolved once. Start need not have been called. What is known by the
	// time of a failure is in the Report too. The error is best a *Failure.
	Check(ctx context.Context, s *Session) (Report, error)
}

// Report is what a Check has found out. None of it is secret.
type Report struct {
	// Target is where it went, as host:port or a path; empty for a connector
	// that has no target of its own.
	Target string
	// TLS says in a few words how the connection is protected and who the
	// target has proved to be.
	TLS string
	// Unverified is true if whoever answered was believed.
	Unverified bool
	// Detail is what else is worth knowing: the target's version, the
	// fingerprints of keys.
	Detail string
}
