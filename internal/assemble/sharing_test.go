package assemble_test

import (
	"strings"
	"testing"

	"secretless/internal/assemble"
)

// two services with one provider; the marks are replaced by the tests.
const two = `version: "2"
services:
  one:
    connector: strict
    listenOn: tcp://127.0.0.1:15432
    credentials: { host: HOST1, password: { from: mine, get: a } }
  two:
    connector: strict
    listenOn: tcp://127.0.0.1:15433
    credentials: { host: HOST2, password: { from: mine, get: b } }
providers:
  mine: { type: vault, url: URL }
`

func text(changes ...string) string { return strings.NewReplacer(changes...).Replace(two) }

// apply does what a broker does with a Build that it takes over in place of
// the services that run: equal ones stay, the others are closed.
func apply(running, built *assemble.Built) (carried int) {
	if running != nil {
		for i, old := range running.Services {
			if old.Digest == built.Services[i].Digest {
				closeAsBroker(built, i)
				built.Services[i] = old
				carried++
			} else {
				closeAsBroker(running, i)
			}
		}
	}
	built.Commit()
	return carried
}

// closeAsBroker closes the service and then its connector, as package broker.
func closeAsBroker(b *assemble.Built, i int) {
	b.Services[i].Close()
	b.Services[i].Connector.(*fakeConnector).Close()
}

func TestInstancesAreShared(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	first := mustBuild(t, a, text())
	apply(nil, first)
	if c.made("provider mine") != 1 {
		t.Fatalf("%d instances for two services", c.made("provider mine"))
	}
	if r := a.Running(); len(r) != 1 || r[0].Name() != "mine" {
		t.Errorf("running %v", r)
	}

	// The same file again: everything stays.
	same := mustBuild(t, a, "# a comment\n"+text())
	if carried := apply(first, same); carried != 2 || c.made("provider mine") != 1 {
		t.Errorf("%d services carried over, %d instances", carried, c.made("provider mine"))
	}

	// One service changes: its instance stays, with its cache.
	changed := mustBuild(t, a, text("HOST2", "elsewhere"))
	if carried := apply(same, changed); carried != 1 || c.made("provider mine") != 1 {
		t.Errorf("%d services carried over, %d instances", carried, c.made("provider mine"))
	}

	// The provider changes: services behind it do too, and the old is closed.
	moved := mustBuild(t, a, text("HOST2", "elsewhere", "URL", "new"))
	if c.alive("provider mine") != 2 {
		t.Errorf("%d instances during the change", c.alive("provider mine"))
	}
	if carried := apply(changed, moved); carried != 0 || c.alive("provider mine") != 1 {
		t.Errorf("%d services carried over, %d instances", carried, c.alive("provider mine"))
	}
	for i := range moved.Services {
		closeAsBroker(moved, i)
	}
	a.Close()
	for _, what := range []string{"provider mine", "connector one", "connector two"} {
		if n := c.alive(what); n != 0 {
			t.Errorf("%d of %s left", n, what)
		}
	}
}

// What a service that still runs holds is not closed under it.
func TestInstanceLivesAsLongAsItsServices(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	first := mustBuild(t, a, text())
	apply(nil, first)
	next := mustBuild(t, a, text("URL", "new"))
	next.Commit() // the old services drain
	if c.alive("provider mine") != 2 {
		t.Errorf("%d instances while the old services drain", c.alive("provider mine"))
	}
	closeAsBroker(first, 0)
	if _, err := first.Services[1].Credentials.Get(t.Context()); err != nil {
		t.Errorf("a draining service lost its provider: %v", err)
	}
	closeAsBroker(first, 1)
	if c.alive("provider mine") != 1 {
		t.Errorf("%d instances after the drain", c.alive("provider mine"))
	}
	closeAsBroker(next, 0)
	closeAsBroker(next, 1)
}

func TestNothingIsLeftOfWhatDoesNotRun(t *testing.T) {
	ends := map[string]func(*assemble.Built){
		"discarded": (*assemble.Built).Discard,
		"rejected": func(b *assemble.Built) {
			for i := range b.Services {
				closeAsBroker(b, i)
			}
			b.Rejected()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := newCensus()
			a := c.assembler(t)
			running := mustBuild(t, a, text())
			running.Commit()
			for _, other := range []string{text("HOST1", "x"), text("URL", "new"), text()} {
				end(mustBuild(t, a, other))
				for _, what := range []string{"provider mine", "connector one", "connector two"} {
					if n := c.alive(what); n != 1 {
						t.Errorf("%d of %s", n, what)
					}
				}
			}
			if _, err := running.Services[0].Credentials.Get(t.Context()); err != nil {
				t.Errorf("the running service suffered: %v", err)
			}
			running.Services[0].Close()
			running.Services[1].Close()
		})
	}
}

// A Build that fails closes what it made, the connectors included, and
// nothing of what runs.
func TestFailedBuildLeavesNothing(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	running := mustBuild(t, a, text())
	running.Commit()
	_, err := build(t, a, text("get: b", "get: \"\"", "URL", "new"))
	if err == nil {
		t.Fatal("no error")
	}
	if c.made("connector one") != 2 || c.made("connector two") != 2 || c.made("provider mine") != 2 {
		t.Errorf("built %v: does the test still test something?", c.built)
	}
	for _, what := range []string{"provider mine", "connector one", "connector two"} {
		if n := c.alive(what); n != 1 {
			t.Errorf("%d of %s", n, what)
		}
	}
	running.Services[0].Close()
	running.Services[1].Close()
}

func TestCloseWipesLiterals(t *testing.T) {
	c := newCensus()
	a := c.assembler(t)
	built := mustBuild(t, a, head+"    credentials: { host: x, password: sesame }\n")
	credentials := built.Services[0].Credentials
	set, err := credentials.Get(t.Context())
	if err != nil || set.Text("password", "") != "sesame" {
		t.Fatalf("got %v", err)
	}
	set.Wipe()
	built.Discard()
	if _, err := credentials.Get(t.Context()); err == nil || !strings.Contains(err.Error(), "the service has been stopped") {
		t.Errorf("got %v", err)
	}
}
