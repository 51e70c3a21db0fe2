package awsserver_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretless/internal/testenv"
	"secretless/internal/testenv/awsserver"
)

func TestMain(m *testing.M) { os.Exit(awsserver.Main(m)) }

const (
	keyID     = "AKIDEXAMPLE000000001"
	keySecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

func start(t *testing.T) *awsserver.Server {
	t.Helper()
	s, err := awsserver.Start(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.AddKey(awsserver.Key{ID: keyID, Secret: keySecret})
	return s
}

// cli runs Amazon's own client against the double.
type cli struct {
	*testing.T
	program string
	env     []string
}

func newCLI(t *testing.T, s *awsserver.Server, env ...string) cli {
	program := testenv.Tool(t, "aws")
	if _, err := os.Stat("/usr/bin/aws"); err == nil { // Debian's
		program = "/usr/bin/aws"
	}
	return cli{t, program, append([]string{
		"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=" + s.URL, "AWS_DEFAULT_REGION=eu-west-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + keySecret, "endpoint=" + s.URL,
	}, env...)}
}

func (c cli) run(args ...string) (map[string]any, string) {
	c.Helper()
	endpoint := ""
	for _, e := range c.env {
		if v, ok := strings.CutPrefix(e, "endpoint="); ok {
			endpoint = v // Debian's version does not know AWS_ENDPOINT_URL
		}
	}
	cmd := exec.CommandContext(c.Context(), c.program, append(args, "--endpoint-url", endpoint, "--output", "json", "--no-cli-pager")...)
	cmd.Env = c.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, _ := cmd.Output()
	var answer map[string]any
	if len(out) > 0 {
		if err := json.Unmarshal(out, &answer); err != nil {
			c.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return answer, strings.TrimSpace(stderr.String())
}

func (c cli) want(got, want any, what string) {
	c.Helper()
	if got != want {
		c.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (c cli) wantError(stderr, code string) {
	c.Helper()
	if !strings.Contains(stderr, "("+code+")") {
		c.Errorf("got %q, want %s", stderr, code)
	}
}

func TestSecretsManagerWithAmazonsClient(t *testing.T) {
	s := start(t)
	text := "pa ss\"ü"
	s.SetSecret("prod/orders", awsserver.Secret{
		ARN: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/orders-a1b2c3",
		Versions: []awsserver.Version{
			awsserver.Text("v2", text),
			{ID: "v1", Stages: []string{"AWSPREVIOUS"}, Binary: []byte{0, 255, 10}},
		},
	})
	c := newCLI(t, s)
	get := func(args ...string) (map[string]any, string) {
		return c.run(append([]string{"secretsmanager", "get-secret-value"}, args...)...)
	}
	out, stderr := get("--secret-id", "prod/orders")
	c.want(out["SecretString"], text, "by name: "+stderr)
	out, stderr = get("--secret-id", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/orders", "--version-stage", "AWSPREVIOUS")
	c.want(out["SecretBinary"], base64.StdEncoding.EncodeToString([]byte{0, 255, 10}), "by partial ARN and stage: "+stderr)
	_, stderr = get("--secret-id", "nowhere")
	c.wantError(stderr, "ResourceNotFoundException")
	for _, call := range s.Calls()[:2] {
		if call.Key != keyID || call.Region != "eu-west-1" || call.Action != "secretsmanager:GetSecretValue" {
			t.Errorf("noted %+v", call)
		}
	}
}

// A signature of another key, or of none that is known, must not pass: else
// the double proves nothing about ours.
func TestSignaturesAreChecked(t *testing.T) {
	s := start(t)
	s.SetSecret("x", awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", "v")}})
	for code, env := range map[string]string{
		"InvalidSignatureException":   "AWS_SECRET_ACCESS_KEY=wrong",
		"UnrecognizedClientException": "AWS_ACCESS_KEY_ID=AKIDUNKNOWN",
	} {
		c := newCLI(t, s, env)
		_, stderr := c.run("secretsmanager", "get-secret-value", "--secret-id", "x")
		c.wantError(stderr, code)
	}
}

func TestParametersWithAmazonsClient(t *testing.T) {
	s := start(t)
	s.SetParameter("/prod/password", awsserver.Parameter{Type: "SecureString", Values: []string{"old", "new"}, Labels: map[string]int{"good": 1}})
	s.SetParameter("plain", awsserver.Parameter{Type: "String", Values: []string{"text"}})
	c := newCLI(t, s)
	out, stderr := c.run("ssm", "get-parameters", "--with-decryption", "--names", "/prod/password:good", "plain", "missing")
	list, _ := out["Parameters"].([]any)
	if len(list) != 2 {
		t.Fatalf("got %v, %s", out, stderr)
	}
	c.want(list[0].(map[string]any)["Value"], "old", "label")
	c.want(list[0].(map[string]any)["Selector"], ":good", "selector")
	c.want(list[1].(map[string]any)["Value"], "text", "plain")
	if invalid := out["InvalidParameters"].([]any); len(invalid) != 1 || invalid[0] != "missing" {
		t.Errorf("invalid: %v", invalid)
	}
}

func TestRolesWithAmazonsClient(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/broker"
	s := start(t)
	s.SetRole(role, awsserver.Role{Trusted: []string{keyID}, ExternalID: "ext"})
	s.SetWebToken("some-jwt")
	s.SetSecret("x", awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", "v")}})
	c := newCLI(t, s)
	out, stderr := c.run("sts", "assume-role", "--role-arn", role, "--role-session-name", "test", "--external-id", "ext")
	keys, _ := out["Credentials"].(map[string]any)
	if keys == nil {
		t.Fatalf("got %v, %s", out, stderr)
	}
	as := newCLI(t, s, "AWS_ACCESS_KEY_ID="+keys["AccessKeyId"].(string), "AWS_SECRET_ACCESS_KEY="+keys["SecretAccessKey"].(string),
		"AWS_SESSION_TOKEN="+keys["SessionToken"].(string))
	got, stderr := as.run("secretsmanager", "get-secret-value", "--secret-id", "x")
	c.want(got["SecretString"], "v", "as the role: "+stderr)

	_, stderr = c.run("sts", "assume-role", "--role-arn", role, "--role-session-name", "test")
	c.wantError(stderr, "AccessDenied")

	out, stderr = c.run("sts", "assume-role-with-web-identity", "--role-arn", role, "--role-session-name", "test", "--web-identity-token", "some-jwt")
	if out["Credentials"] == nil {
		t.Errorf("web identity: %v, %s", out, stderr)
	}
}

// A token that Amazon's client makes is one that the double accepts, and no
// other is.
func TestTokenOfAmazonsClient(t *testing.T) {
	s := start(t)
	c := newCLI(t, s)
	cmd := exec.CommandContext(t.Context(), c.program, "rds", "generate-db-auth-token", "--hostname", "db.example", "--port", "5432", "--username", "app", "--region", "eu-west-1")
	cmd.Env = c.env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(out))
	got, err := s.CheckToken(token, time.Now())
	if want := (awsserver.Login{User: "app", Host: "db.example:5432", Region: "eu-west-1", Key: keyID}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.CheckToken(strings.Replace(token, "DBUser=app", "DBUser=root", 1), time.Now()); err == nil {
		t.Error("changed token accepted")
	}
	if _, err := s.CheckToken(token, time.Now().Add(16*time.Minute)); err == nil {
		t.Error("old token accepted")
	}
}

// The instance's metadata service is read by Amazon's client too.
func TestInstanceWithAmazonsClient(t *testing.T) {
	s := start(t)
	s.SetInstanceKey(&awsserver.Key{ID: "ASIAINSTANCE", Secret: "s", Token: "t", Expires: time.Now().Add(time.Hour)})
	s.SetSecret("x", awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", "v")}})
	c := newCLI(t, s)
	c.env = []string{
		"PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "AWS_DEFAULT_REGION=eu-west-1", "endpoint=" + s.URL,
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + s.URL + "/", "AWS_CONFIG_FILE=" + filepath.Join(t.TempDir(), "none"),
	}
	out, stderr := c.run("secretsmanager", "get-secret-value", "--secret-id", "x")
	c.want(out["SecretString"], "v", stderr)
}
