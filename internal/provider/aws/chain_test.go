package aws_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/aws"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/provider/providertest"
	"secretless/internal/secret"
	"secretless/internal/testenv/awsserver"
)

func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

func temporary(id string) awsserver.Key {
	return awsserver.Key{ID: id, Secret: "s-" + providertest.Canary, Token: "t-" + providertest.Canary, Expires: time.Now().Add(time.Hour)}
}

func credentialsFile(id, secret string) string {
	return fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", id, secret)
}

func TestKeysOfTheEnvironment(t *testing.T) {
	w := newWorld(t)
	w.works(w.open(aws.Config{}))
	k := temporary("ASIAENV")
	w.aws.AddKey(k)
	w.with("AWS_ACCESS_KEY_ID", k.ID, "AWS_SECRET_ACCESS_KEY", k.Secret, "AWS_SESSION_TOKEN", k.Token)
	w.works(w.open(aws.Config{}))
}

func TestKeysOfTheSettings(t *testing.T) {
	w := newWorld(t).without()
	w.works(w.open(aws.Config{Settings: keys()}))
	k := temporary("ASIASET")
	w.aws.AddKey(k)
	w.works(w.open(aws.Config{Settings: awsconfig.Settings{
		AccessKeyID: provider.LiteralSetting(k.ID), SecretAccessKey: provider.LiteralSetting(k.Secret), SessionToken: provider.LiteralSetting(k.Token),
	}}))
	w.fails(w.open(aws.Config{Settings: awsconfig.Settings{
		AccessKeyID: provider.LiteralSetting(keyID), SecretAccessKey: provider.LiteralSetting(""),
	}}), "db", "accessKeyId or secretAccessKey is empty", false)
}

func TestSharedConfiguration(t *testing.T) {
	w := newWorld(t).without().with("AWS_REGION", "")
	w.aws.SetRole(roleARN, awsserver.Role{Trusted: []string{keyID}})
	w.with(
		"AWS_SHARED_CREDENTIALS_FILE", w.file("credentials", credentialsFile(keyID, keySecret)),
		"AWS_CONFIG_FILE", w.file("config", "[default]\nregion = eu-west-1\n[profile role]\nregion = eu-west-1\nrole_arn = "+roleARN+"\nsource_profile = default\n"+
			"[profile mfa]\nrole_arn = "+roleARN+"\nsource_profile = default\nmfa_serial = arn:aws:iam::1:mfa/x\n"),
	)
	w.works(w.open(aws.Config{}))
	w.works(w.open(aws.Config{Settings: awsconfig.Settings{Profile: "role"}}))
	if c := w.aws.Calls(); !strings.HasPrefix(c[len(c)-1].Key, "ASIA") {
		t.Errorf("the role was not assumed: %+v", c)
	}
	w.fails(w.open(aws.Config{Settings: awsconfig.Settings{Profile: "none"}}), "db", `the shared AWS configuration has no profile "none"`, false)
	w.fails(w.open(aws.Config{Settings: awsconfig.Settings{Profile: "mfa"}}), "db", "asks for a code of a device (mfa_serial)", false)
	w.with("AWS_PROFILE", "role")
	w.aws.Forget()
	w.works(w.open(aws.Config{}))
	if c := w.aws.Calls(); c[0].Action != "sts:AssumeRole" {
		t.Errorf("AWS_PROFILE was not used: %+v", c)
	}
}

// The instance's own profile outranks the keys of the environment; AWS_PROFILE
// does not.
func TestWhatOutranksWhat(t *testing.T) {
	w := newWorld(t)
	w.aws.AddKey(awsserver.Key{ID: "AKIDPROFILE", Secret: "s"})
	w.with("AWS_SHARED_CREDENTIALS_FILE", w.file("credentials", strings.Replace(credentialsFile("AKIDPROFILE", "s"), "default", "p", 1)))
	last := func() string {
		c := w.aws.Calls()
		return c[len(c)-1].Key
	}
	w.works(w.open(aws.Config{Settings: awsconfig.Settings{Profile: "p"}}))
	if last() != "AKIDPROFILE" {
		t.Errorf("profile of the settings: %s", last())
	}
	w.with("AWS_PROFILE", "p")
	w.works(w.open(aws.Config{}))
	if last() != keyID {
		t.Errorf("AWS_PROFILE beside keys: %s", last())
	}
}

func TestAssumedRole(t *testing.T) {
	w := newWorld(t)
	w.aws.SetRole(roleARN, awsserver.Role{Trusted: []string{keyID}, ExternalID: "ext"})
	role := awsconfig.Role{RoleARN: roleARN, ExternalID: "ext"}
	p := w.open(aws.Config{Settings: awsconfig.Settings{AssumeRole: role}})
	w.works(p)
	w.works(p)
	var assumed int
	for _, c := range w.aws.Calls() {
		if c.Action == "sts:AssumeRole" {
			assumed++
		} else if !strings.HasPrefix(c.Key, "ASIA") {
			t.Errorf("secret read by %s", c.Key)
		}
	}
	if assumed != 1 {
		t.Errorf("role assumed %d times", assumed)
	}
	w.fails(w.open(aws.Config{Settings: awsconfig.Settings{AssumeRole: awsconfig.Role{RoleARN: roleARN}}}), "db",
		"AWS credentials: access denied: allow these credentials sts:AssumeRole on the role, and let the role's trust policy name them", false)
	w.with("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	role.Endpoint = w.aws.URL
	w.works(w.open(aws.Config{Endpoint: w.aws.URL, Settings: awsconfig.Settings{AssumeRole: role}}))
}

// A role's keys end while the broker runs.
func TestAssumedRoleIsRenewed(t *testing.T) {
	w := newWorld(t)
	w.aws.SetRole(roleARN, awsserver.Role{Trusted: []string{keyID}, Lifetime: 5 * time.Second}) // less than the margin: renewed for each lookup
	p := w.open(aws.Config{Settings: awsconfig.Settings{AssumeRole: awsconfig.Role{RoleARN: roleARN}}})
	w.works(p)
	w.works(p)
	var assumed int
	for _, c := range w.aws.Calls() {
		if c.Action == "sts:AssumeRole" {
			assumed++
		}
	}
	if assumed < 2 {
		t.Errorf("role assumed %d times", assumed)
	}
}

// What the SDK reads from the process's environment by itself is set there.
func TestWebIdentity(t *testing.T) {
	w := newWorld(t).without()
	w.aws.SetRole(roleARN, awsserver.Role{})
	w.aws.SetWebToken("jwt-" + providertest.Canary)
	path := w.file("token", "jwt-"+providertest.Canary)
	for name, value := range map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": path, "AWS_ROLE_ARN": roleARN, "AWS_ROLE_SESSION_NAME": "pod"} {
		w.with(name, value)
		t.Setenv(name, value)
	}
	w.works(w.open(aws.Config{}))
	if err := os.WriteFile(path, []byte("other-"+providertest.Canary), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(w.open(aws.Config{}), "db", "AWS credentials: AWS does not know the access key or token", false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.fails(w.open(aws.Config{}), "db", "the file of the web identity's token (AWS_WEB_IDENTITY_TOKEN_FILE) cannot be read", false)
}

func TestContainerRole(t *testing.T) {
	w := newWorld(t).without()
	w.aws.SetContainerKey("pod-token-"+providertest.Canary, temporary("ASIACONTAINER"))
	path := w.file("token", "pod-token-"+providertest.Canary)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", w.aws.URL+"/container/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path)
	w.works(w.open(aws.Config{}))
	if err := os.WriteFile(path, []byte("wrong-"+providertest.Canary), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(w.open(aws.Config{}), "db", "AWS credentials: the container's credential endpoint gives none", false)
	w.aws.Misbehave(awsserver.Fault{Kind: awsserver.Busy, Action: "container/credentials"})
	w.fails(w.open(aws.Config{}), "db", "AWS credentials: the container's credential endpoint gives none", true)
}

func TestInstanceRole(t *testing.T) {
	w := newWorld(t).without()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	w.with("AWS_EC2_METADATA_SERVICE_ENDPOINT", w.aws.URL)
	k := temporary("ASIAINSTANCE")
	w.aws.SetInstanceKey(&k)
	w.works(w.open(aws.Config{}))
	w.aws.SetInstanceKey(nil)
	w.fails(w.open(aws.Config{}), "db", "no AWS credentials: none are in the settings", false)
	w.with("AWS_EC2_METADATA_DISABLED", "true")
	w.fails(w.open(aws.Config{}), "db", "no AWS credentials: none are in the settings", false)
}

// On a laptop nobody answers at the metadata service's address, or a router
// drops what is sent there.
func TestNoMetadataService(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	for _, endpoint := range []string{"http://127.0.0.1:1", "http://" + silent.Addr().String()} {
		w := newWorld(t).without().with("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
		i := provider.NewInstance(provider.InstanceOptions{Name: "aws", Provider: w.open(aws.Config{})})
		c := provider.NewCredentials("s", []provider.Ref{{Name: "password", Instance: i, Get: "db"}}, nil)
		start := time.Now()
		_, err := c.Get(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no AWS credentials: none are in the settings") {
			t.Errorf("%s: after %v: %v", endpoint, time.Since(start), err)
		}
		c.Close()
		i.Close()
	}
}

// aws sso login, then a provider that reads what it has left.
func TestSSO(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	w := newWorld(t).without()
	w.aws.SetPortalKey("sso-"+providertest.Canary, temporary("ASIASSO"))
	w.with("AWS_CONFIG_FILE", w.file("config", "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n"+
		"[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.example/start\nsso_registration_scopes = sso:account:access\n"))
	p := w.open(aws.Config{Settings: awsconfig.Settings{Profile: "work"}})
	login := "AWS credentials: the SSO session has expired or there is none; run: aws sso login"
	w.fails(p, "db", login, false)

	sum := sha1.Sum([]byte("corp"))
	cache := filepath.Join(home, ".aws", "sso", "cache", hex.EncodeToString(sum[:])+".json")
	if err := os.MkdirAll(filepath.Dir(cache), 0o700); err != nil {
		t.Fatal(err)
	}
	token := func(life time.Duration) {
		b, err := json.Marshal(map[string]string{"accessToken": "sso-" + providertest.Canary, "expiresAt": time.Now().Add(life).UTC().Format(time.RFC3339)})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(cache, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	token(-time.Hour)
	w.fails(p, "db", login, false)
	token(time.Hour) // the login happens while the broker runs
	w.works(p)
}

func TestCredentialProcess(t *testing.T) {
	w := newWorld(t).without()
	k := temporary("ASIAPROCESS")
	w.aws.AddKey(k)
	output := w.file("out.json", fmt.Sprintf(`{"Version":1,"AccessKeyId":%q,"SecretAccessKey":%q,"SessionToken":%q}`, k.ID, k.Secret, k.Token))
	t.Setenv("SECRETLESS_TEST_KEYS", output)
	w.with("AWS_CONFIG_FILE", w.file("config", "[profile good]\ncredential_process = cat "+output+
		"\n[profile environment]\ncredential_process = printenv SECRETLESS_TEST_KEYS | xargs cat"+
		"\n[profile clean]\ncredential_process = env -i PATH=/usr/bin:/bin sh -c 'test -z \"$SECRETLESS_TEST_KEYS\" && cat "+output+"'"+
		"\n[profile bad]\ncredential_process = cat "+output+" /nonexistent/"+providertest.Canary+"\n"))
	// What docs/security.md says of the environment, and how to keep it from a command.
	for _, profile := range []string{"good", "environment", "clean"} {
		w.works(w.open(aws.Config{Settings: awsconfig.Settings{Profile: profile}}))
	}
	w.fails(w.open(aws.Config{Settings: awsconfig.Settings{Profile: "bad"}}), "db", "AWS credentials: the profile's credential_process failed", false)
}

// A tool rewrites the credentials file while the broker runs: the old keys are
// refused, the new ones are found without a restart.
func TestExpiredKeysAreReadAnew(t *testing.T) {
	w := newWorld(t).without()
	path := w.file("credentials", credentialsFile(keyID, keySecret))
	w.with("AWS_SHARED_CREDENTIALS_FILE", path)
	p := w.open(aws.Config{})
	w.works(p)
	w.aws.AddKey(awsserver.Key{ID: keyID, Secret: keySecret, Expires: time.Now().Add(-time.Minute)})
	w.fails(p, "db", "the AWS credentials have expired: log in again", false)
	w.aws.AddKey(awsserver.Key{ID: "AKIDNEW", Secret: "new"})
	if err := os.WriteFile(path, []byte(credentialsFile("AKIDNEW", "new")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.works(p)
}

// counting is a source of the instance's own keys.
type counting struct {
	mu     sync.Mutex
	secret string
	asked  int
}

func (c *counting) Fetch(_ context.Context, refs []string) (map[string]provider.Lease, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	out := map[string]provider.Lease{}
	for _, r := range refs {
		out[r] = provider.Lease{Value: secret.Copy(c.secret)}
	}
	return out, nil
}

// Keys that another provider gives are asked for anew, past its cache, when AWS
// refuses them.
func TestRotatedKeysOfAnotherProvider(t *testing.T) {
	w := newWorld(t).without()
	source := &counting{secret: keySecret}
	i := provider.NewInstance(provider.InstanceOptions{Name: "vault", Provider: source, Cache: time.Hour})
	defer i.Close()
	setting := provider.NewSetting("aws", provider.Ref{Instance: i, Get: "key"})
	defer setting.Close()
	p := w.open(aws.Config{Settings: awsconfig.Settings{AccessKeyID: provider.LiteralSetting(keyID), SecretAccessKey: setting}})
	w.works(p)
	w.aws.AddKey(awsserver.Key{ID: keyID, Secret: "rotated"})
	source.mu.Lock()
	source.secret = "rotated"
	source.mu.Unlock()
	w.works(p)
	if source.asked != 2 {
		t.Errorf("asked %d times", source.asked)
	}
}

// An endpoint that is reached over a network in the clear is warned of before
// anything is asked.
func TestExposedEndpoints(t *testing.T) {
	const far, near = "http://aws.internal:4566", "http://127.0.0.1:4566"
	role := func(endpoint string) aws.Config {
		return aws.Config{Settings: awsconfig.Settings{AssumeRole: awsconfig.Role{RoleARN: roleARN, Endpoint: endpoint}}}
	}
	for name, test := range map[string]struct {
		config aws.Config
		env    string // NAME=value
		warned string // the service; empty for none
	}{
		"far":              {aws.Config{Endpoint: far}, "", "SECRETS_MANAGER"},
		"far with TLS":     {aws.Config{Endpoint: "https://aws.internal"}, "", ""},
		"near":             {aws.Config{Endpoint: near}, "AWS_ENDPOINT_URL=" + far, ""},
		"variable":         {aws.Config{}, "AWS_ENDPOINT_URL=" + far, "SECRETS_MANAGER"},
		"own variable":     {aws.Config{}, "AWS_ENDPOINT_URL_SECRETS_MANAGER=" + far, "SECRETS_MANAGER"},
		"another's":        {aws.Config{}, "AWS_ENDPOINT_URL_SSM=" + far, ""},
		"STS":              {role(far), "", "STS"},
		"variable for STS": {role(""), "AWS_ENDPOINT_URL_STS=" + far, "STS"},
		"unused STS":       {aws.Config{}, "AWS_ENDPOINT_URL_STS=" + far, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t) // whose double is near
			name, value, _ := strings.Cut(test.env, "=")
			w.with(name, value)
			w.open(test.config)
			log := w.log.String()
			if test.warned == "" && log != "" ||
				test.warned != "" && !strings.Contains(log, "AWS ("+test.warned+") at aws.internal:4566 is asked without TLS") {
				t.Errorf("got %q", log)
			}
		})
	}
	w := newWorld(t).with("AWS_ENDPOINT_URL", far, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
	if w.open(aws.Config{}); w.log.Len() > 0 {
		t.Errorf("ignored variable: %s", &w.log)
	}
}

// The endpoint of one service goes before that of all, and the instance's own
// before both.
func TestEndpoints(t *testing.T) {
	w := newWorld(t).with("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	w.works(w.open(aws.Config{Endpoint: w.aws.URL}))
	w.with("AWS_ENDPOINT_URL_SECRETS_MANAGER", w.aws.URL)
	w.works(w.open(aws.Config{}))
	w.aws.SetRole(roleARN, awsserver.Role{Trusted: []string{keyID}})
	w.with("AWS_ENDPOINT_URL_STS", w.aws.URL)
	role := awsconfig.Settings{AssumeRole: awsconfig.Role{RoleARN: roleARN}}
	w.works(w.open(aws.Config{Settings: role}))
	w.with("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
	w.works(w.open(aws.Config{Settings: role, Endpoint: w.aws.URL}))
}
