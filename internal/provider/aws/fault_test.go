package aws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/aws"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv"
	"secretless/internal/testenv/awsserver"
)

func TestFaults(t *testing.T) {
	elsewhere := newWorld(t)
	for name, c := range map[string]struct {
		fault     awsserver.Fault
		want      string
		transient bool
	}{
		"broken":   {awsserver.Fault{Kind: awsserver.Broken}, "AWS answered HTTP 500", true},
		"busy":     {awsserver.Fault{Kind: awsserver.Busy}, "AWS answered HTTP 503", true},
		"throttle": {awsserver.Fault{Kind: awsserver.Throttle}, "AWS limits the rate of requests (secretsmanager:GetSecretValue); raise cache", true},
		"garbage":  {awsserver.Fault{Kind: awsserver.Garbage}, "the answer cannot be read", true},
		"huge":     {awsserver.Fault{Kind: awsserver.Huge}, "the answer is larger than 4 MiB", false},
		"redirect": {awsserver.Fault{Kind: awsserver.Redirect}, "the answer is a redirect, which is not followed", false},
		"hang-up":  {awsserver.Fault{Kind: awsserver.Hangup}, "the connection to AWS broke", true},
		"own trouble": {
			awsserver.Fault{Kind: awsserver.Refuse, Code: "InternalServiceError"}, "AWS has trouble of its own", true,
		},
		"unknown code":  {awsserver.Fault{Kind: awsserver.Refuse, Code: providertest.Canary}, "AWS answered HTTP 400 with an error that the broker does not know", false},
		"KMS":           {awsserver.Fault{Kind: awsserver.Refuse, Code: "DecryptionFailure"}, "cannot be decrypted: its KMS key is disabled", false},
		"clock":         {awsserver.Fault{Kind: awsserver.Refuse, Code: "RequestExpired"}, "set the clock of this machine", false},
		"access denied": {awsserver.Fault{Kind: awsserver.Refuse, Code: "AccessDeniedException"}, "access denied: allow these credentials secretsmanager:GetSecretValue on this secret", false},
		"bad id":        {awsserver.Fault{Kind: awsserver.Refuse, Code: "InvalidParameterException"}, "AWS does not accept this id", false},
		"region":        {awsserver.Fault{Kind: awsserver.Refuse, Code: "OptInRequired"}, "the account has not enabled this region", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.open(aws.Config{})
			w.works(p)
			c.fault.Text = "value-" + providertest.Canary
			if c.fault.Kind == awsserver.Redirect {
				c.fault.Text = elsewhere.aws.URL + "/" + providertest.Canary
			}
			w.aws.Misbehave(c.fault)
			w.fails(p, "db", c.want, c.transient)
			w.aws.Misbehave()
			w.works(p)
		})
	}
	if n := len(elsewhere.aws.Calls()); n != 0 {
		t.Errorf("%d requests followed a redirect", n)
	}
}

// Faults of STS are told apart from those of the service.
func TestFaultsOfSTS(t *testing.T) {
	for name, c := range map[string]struct {
		kind      awsserver.Kind
		want      string
		transient bool
	}{
		"busy":    {awsserver.Busy, "AWS credentials: AWS answered HTTP 503 (sts:AssumeRole)", true},
		"garbage": {awsserver.Garbage, "AWS credentials: the answer cannot be read (sts:AssumeRole)", true},
		"hang-up": {awsserver.Hangup, "AWS credentials: the connection to AWS broke (sts:AssumeRole)", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.aws.SetRole(roleARN, awsserver.Role{Trusted: []string{keyID}})
			p := w.open(aws.Config{Settings: awsconfig.Settings{AssumeRole: awsconfig.Role{RoleARN: roleARN}}})
			w.aws.Misbehave(awsserver.Fault{Kind: c.kind, Action: "sts:AssumeRole", Text: providertest.Canary})
			w.fails(p, "db", c.want, c.transient)
			w.aws.Misbehave()
			w.works(p)
		})
	}
}

func TestRefusedKeys(t *testing.T) {
	w := newWorld(t)
	w.fails(w.open(aws.Config{Settings: awsconfig.Settings{
		AccessKeyID: provider.LiteralSetting(keyID), SecretAccessKey: provider.LiteralSetting("wrong-" + providertest.Canary),
	}}), "db", "the secret access key is wrong, or the clock", false)
	w.fails(w.open(aws.Config{Settings: awsconfig.Settings{
		AccessKeyID: provider.LiteralSetting("AKIDNONE"), SecretAccessKey: provider.LiteralSetting("x"),
	}}), "db", "AWS does not know the access key", false)
	w.aws.AddKey(awsserver.Key{ID: keyID, Secret: keySecret, Denied: []string{"secretsmanager:GetSecretValue"}})
	w.fails(w.open(aws.Config{}), "db", "allow these credentials secretsmanager:GetSecretValue on this secret", false)
}

func TestNobodyListens(t *testing.T) {
	w := newWorld(t).with("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	w.fails(w.open(aws.Config{}), "db", "cannot connect to AWS (secretsmanager:GetSecretValue): dial tcp 127.0.0.1:1: connect: connection refused", true)
	w.with("AWS_ENDPOINT_URL", "http://nowhere.invalid")
	w.fails(w.open(aws.Config{}), "db", "cannot connect to AWS (secretsmanager:GetSecretValue): ", true)
}

// A passing fault is waited out within the lookup's deadline; one that stays
// ends with it.
func TestDeadline(t *testing.T) {
	w := newWorld(t)
	w.secret("db")
	lookup := func(timeout time.Duration) error {
		i := provider.NewInstance(provider.InstanceOptions{Name: "aws", Provider: w.open(aws.Config{}), Timeout: timeout})
		c := provider.NewCredentials("s", []provider.Ref{{Name: "password", Instance: i, Get: "db"}}, nil)
		defer i.Close()
		defer c.Close()
		set, err := c.Get(t.Context())
		set.Wipe()
		return err
	}
	w.aws.Misbehave(awsserver.Fault{Kind: awsserver.Throttle, Times: 5})
	if err := lookup(30 * time.Second); err != nil {
		t.Errorf("throttled for a while: %v", err)
	}
	w.aws.Misbehave(awsserver.Fault{Kind: awsserver.Slow})
	if err := lookup(300 * time.Millisecond); err == nil || !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "provider aws: db: no answer within 300ms: waiting for AWS (secretsmanager:GetSecretValue)") {
		t.Errorf("got %v", err)
	}
}

// The SDK asks for credentials in a goroutine that outlives the lookup; the
// suite's TestMain would find it.
func TestCloseEndsWhatRunsInTheBackground(t *testing.T) {
	w := newWorld(t)
	w.aws.SetRole(roleARN, awsserver.Role{Trusted: []string{keyID}})
	p := w.open(aws.Config{Settings: awsconfig.Settings{AssumeRole: awsconfig.Role{RoleARN: roleARN}}})
	w.aws.Misbehave(awsserver.Fault{Kind: awsserver.Slow})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := fetch(ctx, p, "db"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting for AWS credentials") {
		t.Errorf("got %v", err)
	}
	p.(provider.Closer).Close()
	w.aws.Misbehave()
	w.fails(p, "db", "provider is closed", false)
}

func TestCertificates(t *testing.T) {
	pki := testenv.CA(t)
	pair := pki.Server(t, testenv.CertECDSA)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	s, err := awsserver.Start(&cert)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := newWorld(t)
	w.aws = s
	s.AddKey(awsserver.Key{ID: keyID, Secret: keySecret})
	w.with("AWS_ENDPOINT_URL", s.URL)
	w.fails(w.open(aws.Config{}), "db", "the certificate of the AWS endpoint is not trusted (secretsmanager:GetSecretValue); name its authority with AWS_CA_BUNDLE", false)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, []byte(pki.CAPEM), 0o600); err != nil {
		t.Fatal(err)
	}
	w.with("AWS_CA_BUNDLE", bundle)
	w.works(w.open(aws.Config{}))
	w.with("AWS_CA_BUNDLE", bundle+".none")
	w.fails(w.open(aws.Config{}), "db", "AWS_CA_BUNDLE: stat "+bundle+".none: no such file or directory", false)
}
