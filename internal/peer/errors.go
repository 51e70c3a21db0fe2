package peer

import "fmt"

// EntryError is one thing wrong with an Allow. Field is "users", "groups" or
// "executables" and Index the position in it; Field is empty when the whole
// is wrong.
type EntryError struct {
	Field  string
	Index  int
	Value  string
	Reason string
}

// Error is `allow.<field>: "<value>" <reason>`.
func (e *EntryError) Error() string {
	if e.Field == "" {
		return "allow: " + e.Reason
	}
	return fmt.Sprintf("allow.%s: %q %s", e.Field, e.Value, e.Reason)
}

// Refused is the error of Check: who was refused, as far as known, and why.
type Refused struct {
	Identity Identity
	// Reason names the rule that failed, or says what could not be found out
	// and what to do about it.
	Reason string
}

// Error is "peer refused: <identity>: <reason>".
func (e *Refused) Error() string {
	return fmt.Sprintf("peer refused: %v: %s", e.Identity, e.Reason)
}

// Unsupported is the error of Supported: Check cannot tell who connects there.
type Unsupported struct {
	Network, Address string
	Reason           string
}

// Error is "allow cannot be enforced on <network>://<address>: <reason>".
func (e *Unsupported) Error() string {
	return fmt.Sprintf("allow cannot be enforced on %s://%s: %s", e.Network, e.Address, e.Reason)
}
