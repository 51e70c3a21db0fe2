package awsrdsiam

import (
	"os"
	"strings"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv/awsserver"
)

func TestMain(m *testing.M) { os.Exit(awsserver.Main(m)) }

const (
	keyID     = "AKIDEXAMPLE000000001"
	keySecret = "secret-key-" + providertest.Canary
	db        = "orders.c9akciq32.eu-west-1.rds.amazonaws.com:5432"
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

func open(t *testing.T, env map[string]string, c Config) provider.Provider {
	t.Helper()
	p, err := Definition().Build(provider.Setup{
		Name: "aws-rds-iam",
		Decode: func(into any) error {
			*into.(*Config) = c
			return nil
		},
		LookupEnv: func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.(provider.Closer).Close)
	return p
}

func keys() map[string]string {
	return map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": keySecret}
}

// The double verifies the token as RDS does: by the signature of the key it
// knows, for user, host and region.
func TestTokens(t *testing.T) {
	s := start(t)
	for id, want := range map[string]struct {
		region string
		login  awsserver.Login
	}{
		"app@" + db:                                 {"", awsserver.Login{User: "app", Host: db, Region: "eu-west-1", Key: keyID}},
		"app@" + strings.ToUpper(db):                {"", awsserver.Login{User: "app", Host: db, Region: "eu-west-1", Key: keyID}},
		"we&i=rd@x@db.internal:3306":                {"us-east-1", awsserver.Login{User: "we&i=rd@x", Host: "db.internal:3306", Region: "us-east-1", Key: keyID}},
		"iam+user@" + db:                            {"us-east-2", awsserver.Login{User: "iam+user", Host: db, Region: "us-east-2", Key: keyID}},
		"app@x.y.rds.cn-north-1.amazonaws.com.cn:1": {"", awsserver.Login{User: "app", Host: "x.y.rds.cn-north-1.amazonaws.com.cn:1", Region: "cn-north-1", Key: keyID}},
	} {
		before := time.Now()
		leases, err := open(t, keys(), Config{awsconfig.Settings{Region: want.region}}).Fetch(t.Context(), []string{id})
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		l := leases[id]
		if got, err := s.CheckToken(string(l.Value.Bytes()), time.Now()); err != nil || got != want.login {
			t.Errorf("%s: got %+v, %v", id, got, err)
		}
		if life := l.Expires.Sub(before); life < 13*time.Minute || life >= 15*time.Minute {
			t.Errorf("%s: good for %v", id, life)
		}
		if _, err := s.CheckToken(string(l.Value.Bytes()), l.Expires); err != nil {
			t.Errorf("%s: refused while it is cached: %v", id, err)
		}
	}
}

// A token does not outlive the temporary key that signed it.
func TestTokenOfTemporaryKey(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/broker"
	s := start(t)
	s.SetRole(role, awsserver.Role{Trusted: []string{keyID}, Lifetime: 5 * time.Minute})
	env := keys()
	env["AWS_ENDPOINT_URL"], env["AWS_REGION"] = s.URL, "eu-west-1"
	leases, err := open(t, env, Config{awsconfig.Settings{AssumeRole: awsconfig.Role{RoleARN: role}}}).Fetch(t.Context(), []string{"app@" + db})
	if err != nil {
		t.Fatal(err)
	}
	l := leases["app@"+db]
	if left := time.Until(l.Expires); left > 5*time.Minute || left < 4*time.Minute {
		t.Errorf("good for %v", left)
	}
	if got, err := s.CheckToken(string(l.Value.Bytes()), time.Now()); err != nil || !strings.HasPrefix(got.Key, "ASIA") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestErrors(t *testing.T) {
	noKeys := open(t, nil, Config{awsconfig.Settings{Region: "eu-west-1"}})
	noRegion := open(t, keys(), Config{})
	for _, c := range []struct {
		p        provider.Provider
		id, want string
	}{
		{noKeys, "app@" + db, "provider aws-rds-iam: app@" + db + ": no AWS credentials: none are in the settings"},
		{noRegion, "app@db.internal:5432", "provider aws-rds-iam: app@db.internal:5432: no AWS region: set region"},
		{noRegion, "app", "provider aws-rds-iam: app: write user@host:port"},
	} {
		leases, err := c.p.Fetch(t.Context(), []string{"a@" + db, c.id})
		if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c.want, "provider aws-rds-iam: app@"+db+": ")) || len(leases) != 0 {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]ref{
		"u@h:1":                           {"u", "h", "1"},
		"u@x@h.y:65535":                   {"u@x", "h.y", "65535"},
		"U@H:1":                           {"U", "h", "1"},
		"":                                {},
		"u":                               {},
		"u@h":                             {},
		"u@:1":                            {},
		"@h:1":                            {},
		"u@h:0":                           {},
		"u@h:01":                          {},
		"u@h:65536":                       {},
		"u@h:x":                           {},
		"u@h/x:1":                         {},
		"u@[::1]:1":                       {},
		"u v@h:1":                         {},
		"u\n@h:1":                         {},
		strings.Repeat("u", 129) + "@h:1": {},
	} {
		got, err := parse(text)
		if (err == nil) != (want != ref{}) || err == nil && got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestRegionOfHost(t *testing.T) {
	for host, want := range map[string]string{
		"a.b.eu-west-1.rds.amazonaws.com":                "eu-west-1",
		"a.cluster-ro-b.us-gov-west-1.rds.amazonaws.com": "us-gov-west-1",
		"a.proxy-b.us-east-1.rds.amazonaws.com":          "us-east-1",
		"a.b.rds.cn-northwest-1.amazonaws.com.cn":        "cn-northwest-1",
		"rds.amazonaws.com":                              "",
		"eu-west-1.rds.amazonaws.com":                    "",
		"a.b.eu-west-1.rds.amazonaws.com.evil.example":   "",
		"a.b.eu-west-1.redshift.amazonaws.com":           "",
		"db.internal":                                    "",
	} {
		if got := (ref{host: host}).region(); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"u@h:1", "u@@h:1", "@:", "u@" + db, "u@[h]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse(text)
		if err != nil {
			return
		}
		if !strings.EqualFold(r.user+"@"+r.host+":"+r.port, text) || strings.ContainsAny(r.host, "/@:?#% ") {
			t.Fatalf("%q: %+v", text, r)
		}
		if region := r.region(); region != "" && !awsconfig.ValidRegion(region) {
			t.Fatalf("%q: region %q", text, region)
		}
	})
}
