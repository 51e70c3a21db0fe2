package awsssm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"secretless/internal/provider"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv/awsserver"
)

func TestMain(m *testing.M) { os.Exit(awsserver.Main(m)) }

const (
	keyID     = "AKIDEXAMPLE000000001"
	keySecret = "secret-key-" + providertest.Canary
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

func open(t *testing.T, s *awsserver.Server, setup provider.Setup) provider.Provider {
	t.Helper()
	setup.Decode = func(into any) error {
		*into.(*Config) = Config{Endpoint: s.URL, Settings: awsconfig.Settings{
			Region: "eu-west-1", AccessKeyID: provider.LiteralSetting(keyID), SecretAccessKey: provider.LiteralSetting(keySecret),
		}}
		return nil
	}
	p, err := Definition().Build(setup)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func named(t *testing.T) (*awsserver.Server, provider.Provider) {
	s := start(t)
	p := open(t, s, provider.Setup{Name: "aws-ssm", LookupEnv: func(string) (string, bool) { return "", false }})
	t.Cleanup(p.(provider.Closer).Close)
	return s, p
}

func fetch(t *testing.T, p provider.Provider, ids ...string) (map[string]string, error) {
	t.Helper()
	leases, err := p.Fetch(t.Context(), ids)
	out := map[string]string{}
	for id, l := range leases {
		out[id] = string(l.Value.Bytes())
	}
	return out, err
}

func TestConformance(t *testing.T) {
	for _, kind := range []string{"String", "SecureString"} {
		t.Run(kind, func(t *testing.T) {
			providertest.Run(t, providertest.Config{
				Holds: utf8.Valid,
				New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
					double, refs := start(t), map[string]string{}
					for name, v := range values {
						double.SetParameter("/app/"+name, awsserver.Parameter{Type: kind, Values: []string{string(v)}})
						refs[name] = "/app/" + name
					}
					return providertest.Source{Provider: open(t, double, s), Refs: refs, Missing: "/app/nowhere"}
				},
			})
		})
	}
}

func TestNamesVersionsAndFields(t *testing.T) {
	s, p := named(t)
	s.SetParameter("/db", awsserver.Parameter{
		Type: "SecureString", Values: []string{`{"u":"one","n":1}`, `{"u":"two"}`}, Labels: map[string]int{"good": 1},
	})
	s.SetParameter("flat", awsserver.Parameter{Type: "StringList", Values: []string{"a,b"}})
	arn := awsserver.ParameterARN("/db")
	want := map[string]string{
		"/db": `{"u":"two"}`, "/db#u": "two", "/db:1#u": "one", "/db:good#n": "1", "/db:2": `{"u":"two"}`,
		arn + "#u": "two", arn + ":1#u": "one", "flat": "a,b",
	}
	for id, value := range want {
		if got, err := fetch(t, p, id); err != nil || got[id] != value {
			t.Errorf("%s: got %q, %v", id, got[id], err)
		}
	}
	for _, ids := range [][]string{{"/db", "/db#u", "flat"}, {"/db:1#u", "/db#u", "/db:good#n", "/db:2"}} {
		got, err := fetch(t, p, ids...)
		for _, id := range ids {
			if err != nil || got[id] != want[id] {
				t.Errorf("%v: got %q, %v", ids, got, err)
			}
		}
	}
}

func TestTenInACall(t *testing.T) {
	s, p := named(t)
	var ids []string
	for n := range 25 {
		id := fmt.Sprintf("/p/%02d", n)
		s.SetParameter(id, awsserver.Parameter{Type: "String", Values: []string{`{"a":"x","b":"y"}`}})
		ids = append(ids, id+"#a", id+"#b")
	}
	got, err := fetch(t, p, ids...)
	if err != nil || len(got) != 50 {
		t.Fatalf("%d values, %v", len(got), err)
	}
	calls := s.Calls()
	if len(calls) != 3 || len(calls[0].Names) != 10 || len(calls[2].Names) != 5 {
		t.Errorf("%d calls", len(calls))
	}
}

func TestErrors(t *testing.T) {
	s, p := named(t)
	s.SetParameter("/text", awsserver.Parameter{Type: "String", Values: []string{"text-" + providertest.Canary}})
	s.SetParameter("/locked", awsserver.Parameter{Type: "SecureString", Values: []string{"x"}, Locked: true})
	for id, want := range map[string]string{
		"/nowhere": "provider aws-ssm: /nowhere: there is no such parameter, or no such version or label of it",
		"/text:9":  "provider aws-ssm: /text:9: there is no such parameter",
		"/text#f":  "provider aws-ssm: /text#f: the secret is no JSON object",
		"/locked":  "provider aws-ssm: /locked: access denied: the key that encrypts it is not open to these credentials; allow them kms:Decrypt on it",
	} {
		_, err := fetch(t, p, id)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), providertest.Canary) {
			t.Errorf("%s: got %v", id, err)
		}
	}
	for _, c := range []struct {
		fault     awsserver.Fault
		want      string
		transient bool
	}{
		{awsserver.Fault{Kind: awsserver.Throttle}, "AWS limits the rate of requests (ssm:GetParameters)", true},
		{awsserver.Fault{Kind: awsserver.Busy}, "AWS answered HTTP 503 (ssm:GetParameters)", true},
		{awsserver.Fault{Kind: awsserver.Garbage}, "the answer cannot be read (ssm:GetParameters)", true},
		{awsserver.Fault{Kind: awsserver.Huge}, "the answer is larger than 4 MiB", false},
		{awsserver.Fault{Kind: awsserver.Refuse, Code: "AccessDeniedException"}, "allow these credentials ssm:GetParameters on this parameter", false},
		{awsserver.Fault{Kind: awsserver.Refuse, Code: "InvalidKeyId"}, "its KMS key is disabled", false},
	} {
		c.fault.Text = providertest.Canary
		s.Misbehave(c.fault)
		_, err := fetch(t, p, "/text")
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || e.Transient != c.transient || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), providertest.Canary) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestSlowEndsWithTheDeadline(t *testing.T) {
	s, p := named(t)
	s.Misbehave(awsserver.Fault{Kind: awsserver.Slow})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Fetch(ctx, []string{"/x"}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting for AWS (ssm:GetParameters)") {
		t.Errorf("got %v", err)
	}
}

func TestParse(t *testing.T) {
	arn := awsserver.ParameterARN("/a/b")
	for text, want := range map[string]ref{
		"a":             {name: "a", base: "a"},
		"/a/b_c.d-E":    {name: "/a/b_c.d-E", base: "/a/b_c.d-E"},
		"/a#x.y":        {name: "/a", base: "/a", field: "x.y"},
		"/a:3":          {name: "/a:3", base: "/a"},
		"/a:label#x":    {name: "/a:label", base: "/a", field: "x"},
		arn:             {name: arn, base: arn, region: "eu-west-1"},
		arn + ":2#x":    {name: arn + ":2", base: arn, region: "eu-west-1", field: "x"},
		"":              {},
		"/a#":           {},
		"/a:":           {},
		"/a:b:c":        {},
		"a b":           {},
		"a?stage=x":     {},
		"arn:aws:ssm:x": {},
		"arn::ssm:eu-west-1:123456789012:parameter/a":    {},
		"arn:aws:ssm:eu-west-1: 23456789012:parameter/a": {},
		"arn:aws:secretsmanager:eu-west-1:1:secret:x":    {},
		strings.Repeat("a", maxName+1):                   {},
	} {
		got, err := parse(text)
		if (err == nil) != (want.name != "") || err == nil && got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"/a", "/a:1#b", "a#b.c", awsserver.ParameterARN("/a") + ":l#f", "::", "#", "arn:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse(text)
		if err != nil {
			return
		}
		if r.name == "" || !strings.HasPrefix(r.name, r.base) || !strings.HasPrefix(text, r.name) || !strings.HasSuffix(text, r.field) || strings.ContainsAny(r.name, "# \n") {
			t.Fatalf("%q: %+v", text, r)
		}
		if calls := batches([]ref{r, r}); len(calls) != 1 || len(calls[0]) != 1 {
			t.Fatalf("%q: %v", text, calls)
		}
	})
}
