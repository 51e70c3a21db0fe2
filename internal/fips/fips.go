// Package fips says what the broker refuses when it runs in Go's FIPS 140-3
// mode: ways to log in whose cryptography is not approved. Go's own packages
// do so by ending the goroutine (fips140=only) or not at all (fips140=on), and
// neither tells anybody what to do.
package fips

import (
	"crypto/fips140"
	"fmt"
)

// shortestKey is the least length of a key for HMAC and PBKDF2, 112 bits.
const shortestKey = 14

// Enabled says whether the process is in FIPS mode, of either kind.
func Enabled() bool { return fips140.Enabled() }

// Only says whether Go refuses by itself what is not approved: fips140=only.
func Only() bool { return fips140.Enabled() && fips140.Enforced() }

// Refuse is nil outside FIPS mode. In it, it is an error that names what is not
// approved, and what to use instead.
func Refuse(what, instead string) error {
	if !Enabled() {
		return nil
	}
	return fmt.Errorf("%s is not approved by FIPS 140-3, and the broker runs in FIPS mode: %s", what, instead)
}

// Key is nil if a key, of which what is the name, is long enough for HMAC and
// PBKDF2. It matters where Go refuses by itself.
func Key(what string, size int) error {
	if !Only() || size >= shortestKey {
		return nil
	}
	return fmt.Errorf("%s has %d bytes, and keys shorter than %d (112 bits) are refused in FIPS mode (fips140=only): give the account a longer one", what, size, shortestKey)
}

// Unenforced runs f, which uses an algorithm that is not approved for something
// that protects nothing, such as names in a file.
func Unenforced(f func()) { fips140.WithoutEnforcement(f) }

// Text describes the mode for people; empty outside it.
func Text() string {
	if !Enabled() {
		return ""
	}
	mode := "on"
	if Only() {
		mode = "only"
	}
	return fmt.Sprintf("FIPS 140-3 %s, Go Cryptographic Module %s", mode, fips140.Version())
}
