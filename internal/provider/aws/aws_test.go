package aws_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"secretless/internal/provider"
	"secretless/internal/provider/aws"
	"secretless/internal/provider/awsconfig"
	"secretless/internal/provider/providertest"
	"secretless/internal/testenv/awsserver"
)

// conform runs the suite with values that are stored by store, which returns
// the id.
func conform(t *testing.T, holds func([]byte) bool, missing string, store func(s *awsserver.Server, name string, value []byte) string) {
	providertest.Run(t, providertest.Config{
		Holds: holds,
		New: func(t *testing.T, s provider.Setup, values map[string][]byte) providertest.Source {
			w := newWorld(t)
			s.Decode = func(into any) error {
				*into.(*aws.Config) = aws.Config{Settings: keys(), Endpoint: w.aws.URL}
				into.(*aws.Config).Region = "eu-west-1"
				return nil
			}
			p, err := aws.Definition().Build(s)
			if err != nil {
				t.Fatal(err)
			}
			refs := map[string]string{}
			for name, v := range values {
				refs[name] = store(w.aws, name, v)
			}
			return providertest.Source{Provider: p, Refs: refs, Missing: missing}
		},
	})
}

func TestConformance(t *testing.T) {
	t.Run("text", func(t *testing.T) {
		conform(t, utf8.Valid, "nowhere", func(s *awsserver.Server, name string, value []byte) string {
			s.SetSecret("prod/"+name, awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", string(value))}})
			return "prod/" + name
		})
	})
	t.Run("binary", func(t *testing.T) {
		conform(t, nil, "nowhere", func(s *awsserver.Server, name string, value []byte) string {
			s.SetSecret(name, awsserver.Secret{Versions: []awsserver.Version{{ID: "1", Stages: []string{"AWSCURRENT"}, Binary: value}}})
			return name
		})
	})
	t.Run("fields", func(t *testing.T) {
		documents := map[*awsserver.Server]map[string]string{}
		conform(t, utf8.Valid, "all#missing", func(s *awsserver.Server, name string, value []byte) string {
			if documents[s] == nil {
				documents[s] = map[string]string{}
			}
			documents[s][name] = string(value)
			text, err := json.Marshal(documents[s])
			if err != nil {
				t.Fatal(err)
			}
			s.SetSecret("all", awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", string(text))}})
			return "all#" + name
		})
	})
}

const rotated = "arn:aws:secretsmanager:us-east-2:123456789012:secret:rotated-a1b2c3"

func rotatedSecret() awsserver.Secret {
	return awsserver.Secret{ARN: rotated, Versions: []awsserver.Version{
		awsserver.Text("aaaa", `{"username":"new","password":"p2","port":5432,"nested":{"k":"deep","a.b":true}}`),
		{ID: "bbbb", Stages: []string{"AWSPREVIOUS"}, Text: new(`{"username":"old"}`)},
		{ID: "cccc", Stages: []string{"my stage"}, Text: new("")},
	}}
}

func TestVersionsAndFields(t *testing.T) {
	w := newWorld(t)
	w.aws.SetSecret("rotated", rotatedSecret())
	p := w.open(aws.Config{})
	for id, want := range map[string]string{
		"rotated#username":                      "new",
		"rotated#port":                          "5432",
		"rotated#nested":                        `{"k":"deep","a.b":true}`,
		"rotated#nested.k":                      "deep",
		"rotated#nested.a.b":                    "true",
		"rotated?stage=AWSPREVIOUS#username":    "old",
		"rotated?version=bbbb":                  `{"username":"old"}`,
		"rotated?version=aaaa#password":         "p2",
		"rotated?stage=my%20stage":              "",
		rotated + "#username":                   "new",
		rotated[:len(rotated)-7] + "#username":  "new",
		rotated + "?stage=AWSPREVIOUS#username": "old",
		"rotated?version=cccc":                  "",
	} {
		got, err := fetch(t.Context(), p, id)
		if err != nil || got[id] != want {
			t.Errorf("%s: got %q, %v; want %q", id, got[id], err, want)
		}
	}
}

// An ARN says where its secret is.
func TestRegionOfARN(t *testing.T) {
	w := newWorld(t).with("AWS_REGION", "")
	w.aws.SetSecret("rotated", rotatedSecret())
	p := w.open(aws.Config{})
	if _, err := fetch(t.Context(), p, rotated+"#username"); err != nil {
		t.Fatal(err)
	}
	if c := w.aws.Calls()[0]; c.Region != "us-east-2" {
		t.Errorf("asked in %s", c.Region)
	}
	w.fails(p, "rotated", "no AWS region: set region", false)
}

// While a secret is rotated all the time, its fields are of one version: ids
// that share it cause one call.
func TestFieldsAreOfOneVersion(t *testing.T) {
	w := newWorld(t)
	p := w.open(aws.Config{})
	for n := range 200 {
		w.aws.SetSecret("db", awsserver.Secret{Versions: []awsserver.Version{
			awsserver.Text(fmt.Sprint(n), fmt.Sprintf(`{"username":"u%d","password":"u%d"}`, n, n)),
		}})
		got, err := fetch(t.Context(), p, "db#password", "db#username")
		if err != nil || got["db#username"] != got["db#password"] {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if n := len(w.aws.Calls()); n != 200 {
		t.Errorf("%d calls for 200 lookups", n)
	}
	w.aws.Forget()
	w.secret("other")
	if _, err := fetch(t.Context(), p, "db#password", "db?stage=AWSCURRENT", "db", "other", "db#username"); err != nil {
		t.Error(err)
	}
	if n := len(w.aws.Calls()); n != 2 {
		t.Errorf("%d calls for a secret, with its version spelt out or not, and another", n)
	}
}

func TestWhatASecretLacks(t *testing.T) {
	w := newWorld(t)
	w.secret("text")
	set := func(name string, s awsserver.Secret) { w.aws.SetSecret(name, s) }
	one := func(text string) awsserver.Secret {
		return awsserver.Secret{Versions: []awsserver.Version{awsserver.Text("1", text)}}
	}
	set("json", one(`{"a":{"b":"`+providertest.Canary+`"},"none":null,"half":"\ud800"}`))
	set("empty", awsserver.Secret{Versions: []awsserver.Version{{ID: "1", Stages: []string{"AWSCURRENT"}}}})
	set("deleted", awsserver.Secret{Deleted: true})
	set("locked", awsserver.Secret{Locked: true})
	p := w.open(aws.Config{})
	for id, want := range map[string]string{
		"nowhere":              "there is no such secret, or no such version of it, in this account and region",
		"json?stage=AWSNOTHER": "there is no such secret, or no such version of it",
		"json#b":               `the secret has no field "b"`,
		"json#a.c":             `field "a" has no field "c"`,
		"json#a.b.c":           `field "a.b" is no JSON object, so it has no field "c"`,
		"json#none":            `field "none" is null`,
		"json#half":            `field "half" is no valid Unicode text`,
		"text#field":           "the secret is no JSON object, so it has no fields",
		"empty":                "the secret has no value yet",
		"deleted":              "scheduled for deletion",
		"locked":               "allow them kms:Decrypt",
	} {
		w.fails(p, id, want, false)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	with := func(f func(*awsconfig.Settings)) aws.Config {
		var c aws.Config
		f(&c.Settings)
		return c
	}
	for want, c := range map[string]aws.Config{
		"accessKeyId and secretAccessKey go together": with(func(s *awsconfig.Settings) { s.AccessKeyID = provider.LiteralSetting("x") }),
		"sessionToken needs accessKeyId":              with(func(s *awsconfig.Settings) { s.SessionToken = provider.LiteralSetting("x") }),
		"profile and accessKeyId exclude each other": with(func(s *awsconfig.Settings) {
			*s = keys()
			s.Profile = "p"
		}),
		`region "eu/west" is no region`: with(func(s *awsconfig.Settings) { s.Region = "eu/west" }),
		"assumeRole needs roleARN":      with(func(s *awsconfig.Settings) { s.AssumeRole.ExternalID = "x" }),
		`roleARN "broker" is no role`:   with(func(s *awsconfig.Settings) { s.AssumeRole.RoleARN = "broker" }),
		"endpoint is no URL":            {Endpoint: "localhost:4566"},
		"endpoint is no URL of":         {Endpoint: "https://user:pass@host"},
	} {
		_, err := aws.Definition().Build(newWorld(t).setup(c))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
