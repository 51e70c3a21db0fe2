package origin

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Host normalises a host: a name, or an IP address (IPv6 in brackets).
func Host(text string) (string, error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		return ipv6(strings.TrimSuffix(inner, "]"))
	}
	name := strings.TrimSuffix(text, ".")
	if name == "" {
		return "", errors.New("it is empty")
	}
	if len(name) > longestText {
		return "", errTooLong
	}
	if !isASCII(name) || hasACE(name) {
		mapped, err := international(name)
		if err != nil {
			return "", err
		}
		name = mapped
	}
	name = strings.ToLower(name)
	if endsInNumber(name) {
		return ipv4(name)
	}
	return name, checkName(name)
}

// international is the ASCII form of a name: the non-transitional mapping of
// UTS 46 with the checks of a lookup. The form must stand for itself, which
// that of bytes that are no UTF-8 does not.
func international(name string) (string, error) {
	mapped, err := idna.Lookup.ToASCII(name)
	if err == nil {
		var again string
		if again, err = idna.Lookup.ToASCII(mapped); again != mapped {
			err = errors.New("not stable")
		}
	}
	if err != nil {
		return "", errors.New("it is no valid internationalised name")
	}
	if mapped = strings.TrimSuffix(mapped, "."); mapped == "" || endsInNumber(mapped) {
		return "", errors.New("an IP address is written in ASCII digits")
	}
	return mapped, nil
}

// ipv6 refuses zones, which name an interface of this machine.
func ipv6(text string) (string, error) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil || !strings.Contains(text, ":"):
		return "", errors.New("it is no IPv6 address")
	case addr.Zone() != "":
		return "", errors.New("an IPv6 zone is not accepted")
	}
	return addr.Unmap().String(), nil
}

// endsInNumber says whether URL parsers take name for an IPv4 address: its
// last label is a number, also a hexadecimal one.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, ok := strings.CutPrefix(strings.ToLower(last), "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// ipv4 accepts four decimal numbers without leading zeros: 127.1, 0x7f.1,
// 017700000001 and 2130706433 are 127.0.0.1 for some programs only.
func ipv4(text string) (string, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return "", errors.New("an IPv4 address has four decimal numbers from 0 to 255")
	}
	return addr.String(), nil
}

const (
	longestName  = 253
	longestLabel = 63
	// longestText is what nothing that becomes such a name is longer than. The
	// time to find that out grows with the square of the length.
	longestText = 4 * longestName
)

var errTooLong = errors.New("the name is too long")

func checkName(name string) error {
	if len(name) > longestName {
		return errTooLong
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return errors.New("it has an empty label")
		case len(label) > longestLabel:
			return errors.New("a label of the name is too long")
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
			return errors.New("a name has letters, digits, hyphens and dots")
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("a label starts or ends with a hyphen")
		}
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// hasACE says whether a label claims to be an encoded international one.
func hasACE(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, "xn--") || strings.Contains(lower, ".xn--")
}
