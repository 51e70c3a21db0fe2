package aws

import (
	"log/slog"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"secretless/internal/provider"
	"secretless/internal/provider/awsconfig"
)

// A fault in the SDK, in one of the reads that a lookup runs at the same time,
// fails the lookup and nothing else.
func TestReadThatPanics(t *testing.T) {
	var log strings.Builder
	setup := provider.Setup{
		Name: "aws", LookupEnv: func(string) (string, bool) { return "", false }, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	keys := awsconfig.Settings{
		Region: "eu-west-1", AccessKeyID: provider.LiteralSetting("a"), SecretAccessKey: provider.LiteralSetting("b"),
	}
	session, err := awsconfig.NewSession(keys, setup, func(sdk.Config) client { panic("c4nary") })
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	p := secrets{"aws", setup.Log, session}
	leases, err := p.Fetch(t.Context(), []string{"one", "two"})
	if want := "provider aws: one: provider failed internally, see the broker's log"; err == nil || err.Error() != want || len(leases) > 0 {
		t.Errorf("got %v, %v", leases, err)
	}
	if n := strings.Count(log.String(), `doing="read a secret"`); n != 2 || strings.Contains(log.String(), "c4nary") {
		t.Errorf("%d panics in the log: %s", n, &log)
	}
}
