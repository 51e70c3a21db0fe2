package awsserver

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// Main is the body of a TestMain where the AWS SDK is used: it reads the
// process's environment and home directory itself, so both are emptied, and
// nothing asks the metadata service of the machine that runs the tests.
func Main(m *testing.M) int {
	home, err := os.MkdirTemp("", "secretless-aws-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(home) }()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
			_ = os.Unsetenv(name)
		}
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		_ = os.Setenv(name, home)
	}
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines left after the tests:", err)
		return 1
	}
	return 0
}
