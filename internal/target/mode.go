package target

import (
	"fmt"
	"strings"
)

// Mode is how far TLS is used and checked: the meaning of sslmode.
type Mode int

// The modes, from none to full.
const (
	Disable    Mode = iota // plain text
	Prefer                 // encrypted if the target offers it, not verified: the only mode that may fall back to plain text
	Require                // encrypted, not verified
	VerifyCA               // encrypted, chain verified
	VerifyFull             // encrypted, chain and name verified
)

// Modes are the names of all modes, from none to full.
func Modes() []string {
	return []string{"disable", "prefer", "require", "verify-ca", "verify-full"}
}

// String is the mode as written in a configuration.
func (m Mode) String() string {
	if names := Modes(); m >= 0 && int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("mode(%d)", int(m))
}

// ParseMode reads a mode; empty is fallback. Its error lists the modes.
func ParseMode(text string, fallback Mode) (Mode, error) {
	if text == "" {
		return fallback, nil
	}
	for i, name := range Modes() {
		if text == name {
			return Mode(i), nil
		}
	}
	return 0, fmt.Errorf("sslmode %q is unknown; use one of %s", text, strings.Join(Modes(), ", "))
}
