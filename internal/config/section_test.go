package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"secretless/internal/secret"
)

// setting is what a provider may use for a value that is its own or another
// provider's.
type setting struct {
	From string       `yaml:"from"`
	Get  string       `yaml:"get"`
	Text secret.Value `yaml:"-"`
}

func (s *setting) UnmarshalScalar(text string) error {
	if text == "bad" {
		return errors.New("is bad")
	}
	s.Text = secret.Copy(text)
	return nil
}

type common struct {
	Force bool `yaml:"force"`
}

type sample struct {
	common   `yaml:",inline"`
	Hidden   struct{}          `yaml:"-"`
	Name     string            `yaml:"name" default:"n"`
	Count    int8              `yaml:"count"`
	Ratio    float64           `yaml:"ratio"`
	Wait     time.Duration     `yaml:"wait" default:"3s"`
	Method   string            `yaml:"method" enum:"a,b"`
	URLs     []*regexp.Regexp  `yaml:"urls" single:"true"`
	Headers  map[string]string `yaml:"headers"`
	Token    setting           `yaml:"token"`
	Other    *setting          `yaml:"other"`
	Key      secret.Value      `yaml:"key"`
	Any      any               `yaml:"any"`
	Untagged bool
}

func sectionOf(t *testing.T, text string) Section {
	t.Helper()
	return parse(t, service(listenHere, "config: "+text)).Services[0].Config
}

func TestSectionDecode(t *testing.T) {
	var s sample
	err := sectionOf(t, `{name: 5, count: -3, ratio: 1.5, wait: 2m, method: b, urls: ^a, headers: {x: 1}, force: true,
      token: abc, other: {from: env, get: T}, key: k, any: {a: [1, 2.5, true, ~, x]}, untagged: true}`).Decode(&s)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %d %g %v %s %v %v %s %s %t %t %s %s", s.Name, s.Count, s.Ratio, s.Wait, s.Method, s.URLs, s.Headers,
		s.Other.From, s.Other.Get, s.Untagged, s.Force, s.Token.Text.Bytes(), s.Key.Bytes())
	if want := "5 -3 1.5 2m0s b [^a] map[x:1] env T true true abc k"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	wantAny := map[string]any{"a": []any{int64(1), 2.5, true, nil, "x"}}
	if !reflect.DeepEqual(s.Any, wantAny) {
		t.Errorf("any %#v", s.Any)
	}
}

func TestZeroSectionAppliesDefaults(t *testing.T) {
	var s sample
	if err := (Section{}).Decode(&s); err != nil || s.Name != "n" || s.Wait != 3*time.Second {
		t.Errorf("%v %+v", err, s)
	}
	if err := (Section{}).Decode(s); err == nil {
		t.Error("decoded into no pointer")
	}
}

func TestSectionErrors(t *testing.T) {
	for text, want := range map[string]string{
		"{nmae: x}":               `s.yml:6:14: unknown key "nmae"; did you mean "name"?`,
		"{count: 128}":            "s.yml:6:21: count must be a whole number from -128 to 127, not 128",
		"{ratio: x}":              "s.yml:6:21: ratio must be a number, not text",
		"{wait: 3}":               "s.yml:6:20: wait needs a unit: write 3s for seconds, or ms, m, h",
		"{method: c}":             `s.yml:6:22: method must be one of a, b, not "c"`,
		"{urls: ['(']}":           "s.yml:6:21: urls[0]: error parsing regexp: missing closing ): `(`",
		"{urls: {a: b}}":          "s.yml:6:20: urls must be a list, not a map",
		"{headers: x}":            "s.yml:6:23: headers must be a map, not text",
		"{headers: {a: [b]}}":     "s.yml:6:27: a must be text, not a list",
		"{token: bad}":            "s.yml:6:21: token: is bad",
		"{token: {frm: x}}":       `s.yml:6:22: unknown key "frm"; did you mean "from"?`,
		"{key: [x]}":              "s.yml:6:19: key must be text, not a list",
		"{untagged: yes}":         "s.yml:6:24: untagged must be true or false, not text",
		"{nmae: x, count: 1.5}":   "s.yml:6:14: unknown key \"nmae\"; did you mean \"name\"?\ns.yml:6:30: count must be a whole number from -128 to 127, not 1.5",
		"{force: 1, headers: []}": "s.yml:6:21: force must be true or false, not a number\ns.yml:6:33: headers must be a map, not a list",
	} {
		var s sample
		err := sectionOf(t, text).Decode(&s)
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// A provider's section suggests the keys that every provider has, too.
func TestProviderSettings(t *testing.T) {
	f := parse(t, service(listenHere)+"providers: {v: {type: vault, timout: 5s, name: x}}\n")
	var s sample
	err := f.Providers[0].Settings.Decode(&s)
	if want := `s.yml:6:30: unknown key "timout"; did you mean "timeout"?`; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"connector", "credentials", "listenOn", "tls"}
	for name, want := range map[string]string{
		"conector": "connector", "Connector": "connector", "listen_on": "listenOn", "tsl": "tls", "zebra": "", "": "", "ocnnector": "connector",
	} {
		if got := Suggest(name, known); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// hidden is a setting that is a secret.
type hidden struct{ from string }

func (*hidden) CredentialSetting() {}

type secretive struct {
	Token hidden `yaml:"token" required:"true"`
	Deep  struct {
		Key *hidden `yaml:"key"`
	} `yaml:"deep"`
	Named map[string]hidden `yaml:"named"`
}

func TestSecretSettings(t *testing.T) {
	section := sectionOf(t, `{token: canary, deep: {key: {from: env, get: K}}, named: {a: {from: v, get: b}}}`)
	var s secretive
	err := section.DecodeSecrets(&s, func(setting CredentialSetting, c Credential) {
		setting.(*hidden).from = c.From + " " + c.Get + string(c.Literal.Bytes())
	})
	if err != nil || s.Token.from != "literal canary" || s.Deep.Key.from != "env K" || s.Named["a"].from != "v b" {
		t.Errorf("%v %+v", err, s)
	}
	found := section.Secrets(secretive{})
	if len(found) != 3 || found[1].Get != "K" || found[1].FromPos != (Pos{6, 48}) || found[1].Name != "key" {
		t.Errorf("found %+v", found)
	}
	if found := section.Secrets(nil); found != nil {
		t.Errorf("of nothing: %+v", found)
	}
	if err := section.Decode(&s); err == nil || !strings.Contains(err.Error(), "token is a secret, which this section cannot have") {
		t.Errorf("without bind: %v", err)
	}
	err = sectionOf(t, "{deep: {key: [canary]}}").DecodeSecrets(&s, func(CredentialSetting, Credential) { t.Error("bound") })
	if want := "s.yml:6:13: token is missing\ns.yml:6:26: credential \"key\" must be a value or a map of from and get, not a list"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
