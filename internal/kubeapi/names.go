package kubeapi

import (
	"fmt"
	"strings"
)

// The bounds of Kubernetes' own names.
const (
	maxLabel     = 63
	maxSubdomain = 253
)

// CheckNamespace refuses what is no name of a namespace. What it accepts can
// stand in a path as it is.
func CheckNamespace(s string) error {
	if !isLabel(s) {
		return fmt.Errorf("%q is no name of a namespace: lower case letters, digits and -", s)
	}
	return nil
}

// isLabel is RFC 1123's label, as Kubernetes has it.
func isLabel(s string) bool {
	return len(s) <= maxLabel && IsName(s) && !strings.Contains(s, ".")
}

// IsName says whether s can be an object's name: RFC 1123's subdomain, labels
// between dots, here of any length. It can stand in a path as it is.
func IsName(s string) bool {
	if s == "" || len(s) > maxSubdomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
