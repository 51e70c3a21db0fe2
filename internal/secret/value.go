// Package secret holds the bytes that must never be seen: passwords, keys and
// tokens, and the sets of them that one connection needs.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
	"unsafe"
)

// Redacted is what every way of printing a Value yields.
const Redacted = "[secret]"

// Value is one secret. Copies of a Value share their bytes: Wipe on one of
// them empties all. The zero Value is empty and usable.
//
// A Value prints, logs and marshals as [secret] with every verb and encoder.
// It may be read from many goroutines; Wipe must not run beside a reader, so
// whoever resolved a Value owns it and wipes it when the last reader is done.
type Value struct {
	// b is a *[]byte. Package fmt does not ask unexported fields how they want
	// to be printed, and with a wrong verb (%s of a struct that has one) it
	// follows a typed pointer to the bytes; of this one it prints the address.
	b unsafe.Pointer
}

// New makes a Value of b and takes ownership: the caller must not use b again.
func New(b []byte) Value { return Value{unsafe.Pointer(&b)} }

// Copy makes a Value of a copy of s. A string cannot be wiped, so s should be
// short-lived or, like a literal of the configuration, not secret to begin with.
func Copy[T ~string | ~[]byte](s T) Value { return New(append([]byte(nil), s...)) }

// Bytes lends the secret: valid until Wipe, not to be changed, kept or printed.
func (v Value) Bytes() []byte {
	if p := v.slice(); p != nil {
		return *p
	}
	return nil
}

// Borrow lends the secret as a string without copying it, for libraries that
// take strings. Valid until Wipe, which changes it under the borrower; never
// keep it, use it as a map key or print it.
func (v Value) Borrow() string {
	b := v.Bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Len is the number of bytes.
func (v Value) Len() int { return len(v.Bytes()) }

// Clone copies the secret into a Value of its own, to be wiped on its own.
func (v Value) Clone() Value { return Copy(v.Bytes()) }

// Equal compares in constant time for equal lengths.
func (v Value) Equal(o Value) bool { return subtle.ConstantTimeCompare(v.Bytes(), o.Bytes()) == 1 }

// Wipe overwrites the bytes and empties the Value and its copies. It may be
// called more than once.
func (v Value) Wipe() {
	if p := v.slice(); p != nil {
		clear((*p)[:cap(*p)])
		*p = nil
	}
}

func (v Value) slice() *[]byte { return (*[]byte)(v.b) }

// String returns [secret].
func (Value) String() string { return Redacted }

// GoString returns [secret].
func (Value) GoString() string { return Redacted }

// Format prints [secret] whatever the verb, so that %x cannot reach the bytes.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// LogValue logs as [secret].
func (Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText marshals as [secret], for JSON, XML and text encoders alike.
func (Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalYAML marshals as [secret].
func (Value) MarshalYAML() (any, error) { return Redacted, nil }
