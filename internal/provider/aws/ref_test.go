package aws

import (
	"strings"
	"testing"
)

const someARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/orders-a1b2c3"

func TestParse(t *testing.T) {
	for text, want := range map[string]ref{
		"db":                                   {version: version{secret: "db"}},
		"prod/db_1.x=y+z@w-!":                  {version: version{secret: "prod/db_1.x=y+z@w-!"}},
		"db#password":                          {version: version{secret: "db"}, field: "password"},
		"db#a.b#c":                             {version: version{secret: "db"}, field: "a.b#c"},
		"db?stage=AWSPREVIOUS":                 {version: version{secret: "db", stage: "AWSPREVIOUS"}},
		"db?stage=AWSCURRENT#x":                {version: version{secret: "db"}, field: "x"},
		"db?stage=a%20b%26#x":                  {},
		"db?stage=a+b#x":                       {version: version{secret: "db", stage: "a+b"}, field: "x"},
		"db?version=1a2b#x":                    {version: version{secret: "db", id: "1a2b"}, field: "x"},
		someARN:                                {version: version{secret: someARN}, region: "eu-west-1"},
		someARN + "?stage=S#x.y":               {version: version{secret: someARN, stage: "S"}, region: "eu-west-1", field: "x.y"},
		"":                                     {},
		"#x":                                   {},
		"db#":                                  {},
		"d b":                                  {},
		"db:password":                          {},
		"db?":                                  {},
		"db?stage":                             {},
		"db?stage=":                            {},
		"db?label=x":                           {},
		"db?stage=a&version=b":                 {},
		"db#x?stage=AWSPREVIOUS":               {},
		"arn:aws:s3:::bucket":                  {},
		"arn:aws:secretsmanager:secret:x":      {},
		someARN + ":password::":                {},
		strings.Repeat("x", maxSecretID+1):     {},
		"arn:aws:ssm:r:1:parameter/x":          {},
		"db?stage=%zz":                         {},
		"db#" + strings.Repeat("a.", 40):       {},
		strings.Replace(someARN, "eu", "", 1):  {},
		strings.Replace(someARN, "aws", "", 1): {},
		strings.Replace(someARN, "1234", " 123", 1):             {},
		strings.Replace(someARN, "1234", "34", 1):               {},
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:": {},
	} {
		got, err := parse(text)
		if (err == nil) != (want.secret != "") || err == nil && got != want {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"db", "db#a.b", "db?stage=x#y", "db?version=%31", someARN, someARN + "?stage=S#f", "a?b?c#d#e", "#", "?=", "arn::secretsmanager:eu-west-1: 23456789012:secret:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of several lines: %q", err)
			}
			return
		}
		if r.secret == "" || !strings.HasPrefix(text, r.secret) || !strings.HasSuffix(text, r.field) || r.stage != "" && r.id != "" {
			t.Fatalf("%q: %+v", text, r)
		}
		if strings.ContainsAny(r.secret, "#? \n") {
			t.Fatalf("%q: secret %q", text, r.secret)
		}
	})
}
