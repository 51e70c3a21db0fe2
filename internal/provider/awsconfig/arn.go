package awsconfig

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// ParseARN reads the name of something that a service keeps for an account in a
// region, and is not ok for anything else. What the resource is named is the
// caller's to check.
func ParseARN(text, service string) (a arn.ARN, ok bool) {
	a, err := arn.Parse(text)
	return a, err == nil && a.Service == service && strings.HasPrefix(a.Partition, "aws") && ValidRegion(a.Region) && isAccount(a.AccountID)
}

func isAccount(id string) bool { return len(id) == 12 && strings.Trim(id, "0123456789") == "" }
