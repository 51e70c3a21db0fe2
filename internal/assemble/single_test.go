package assemble_test

import (
	"strings"
	"testing"

	"secretless/internal/assemble"
	"secretless/internal/config"
	"secretless/internal/provider"
)

// One provider of a file is made with what it needs and nothing else.
func TestSingleProvider(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	file := parse(t, a, chainOf("sesame")+"  stray: { type: vault }\n")
	instance, _, err := a.Provider(file, "middle")
	if err != nil {
		t.Fatal(err)
	}
	creds := provider.NewCredentials("test", []provider.Ref{{Name: "x", Instance: instance, Get: "token"}}, nil)
	set, err := creds.Get(t.Context())
	if err != nil || set.Text("x", "") != "sesame" {
		t.Errorf("got %v", err)
	}
	set.Wipe()
	creds.Close()
	if c.made("provider stray") != 0 || c.made("provider top") != 0 || c.alive("provider bottom") != 1 {
		t.Errorf("built %v, closed %v", c.built, c.closed)
	}
	instance.Close()
	if c.alive("provider middle") != 0 || c.alive("provider bottom") != 0 {
		t.Errorf("left: built %v, closed %v", c.built, c.closed)
	}
	for name, want := range map[string]bool{"top": true, "fake": true, "nobody": false} {
		if got := a.KnowsProvider(file, name); got != want {
			t.Errorf("knows %s: %v", name, got)
		}
	}
}

func TestSingleProviderErrors(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	file := parse(t, a, strings.Replace(chain, "TOKEN", "{ from: top, get: token }", 1)+"  odd: { type: volt }\n  bad: { type: vault, url: bad }\n")
	for name, want := range map[string]string{
		"top":    "providers need each other in a circle",
		"odd":    `unknown provider type "volt"`,
		"bad":    "url is bad",
		"nobody": `unknown provider "nobody"`,
		"vault":  `provider "vault" needs settings`,
	} {
		_, _, err := a.Provider(file, name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	for name, n := range c.built {
		if c.closed[name] != n {
			t.Errorf("%s: %d built, %d closed", name, n, c.closed[name])
		}
	}
}

func parse(t *testing.T, a *assemble.Assembler, text string) *config.File {
	t.Helper()
	file, err := a.Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}
