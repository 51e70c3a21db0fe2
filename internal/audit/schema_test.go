package audit

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"secretless/internal/peer"
)

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("audit.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("audit.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// completeEvents has one event of each type with every field that it can have.
func completeEvents() []Event {
	refs := []Reference{{Name: "host", From: "literal"}, {Name: "password", From: "vault", Get: "db/orders#password"}}
	target := &Target{
		Address: "db.internal:5432", Remote: "10.0.0.7:5432", HostKey: "SHA256:gT", Verified: true,
		TLS: &TLS{
			Version: "TLS 1.3", Subject: "CN=db.internal", Issuer: "CN=Internal CA", Names: []string{"db.internal", "db"},
			SHA256: strings.Repeat("0f", 32),
		},
	}
	request := &Request{Method: "GET", Scheme: "https", Host: "api.internal", Path: "/v1/orders"}
	who := peer.Identity{
		Known: true, UID: 1000, GID: 100, PID: 4711, Executable: "/usr/bin/psql",
		Container: strings.Repeat("ab", 32), Pod: "6f9619ff-8b86-d011-b42d-00c04fc964ff",
	}
	of := func(typ Type, f func(*Event)) Event {
		return variant(func(e *Event) {
			e.Type, e.Peer = typ, who
			f(e)
		})
	}
	broker := func(typ Type, f func(*Event)) Event {
		e := Event{Time: sample.Time, Type: typ}
		f(&e)
		return e
	}
	return []Event{
		of(Opened, func(*Event) {}),
		of(Refused, func(e *Event) { e.Reason = "limit" }),
		of(Connected, func(e *Event) { e.Target, e.Credentials = target, refs }),
		of(Failed, func(e *Event) { e.Reason, e.Duration = "rejected", time.Second }),
		of(Closed, func(e *Event) { e.Reason, e.Duration, e.ToTarget, e.ToClient = "idle", time.Hour, 10, 20 }),
		of(Used, func(e *Event) {
			e.Detail, e.Request, e.Credentials = "GET https://api.internal/v1/orders", request, refs
		}),
		of(Answered, func(e *Event) {
			e.Detail, e.Request, e.Target, e.Status, e.ToClient, e.Duration = "GET https://api.internal/v1/orders", request, target, 200, 512, time.Second
		}),
		broker(Started, func(e *Event) { e.Version, e.Config, e.Services = "1.0.0", "/etc/secretless.yml", 3 }),
		broker(Stopped, func(e *Event) { e.By, e.Duration = "signal", time.Hour }),
		broker(Reload, func(e *Event) {
			e.By, e.Outcome, e.Config, e.Services, e.Errors, e.Duration = "watch", Fail, "/etc/secretless.yml", 3, 2, 40*time.Millisecond
			e.Peer = who
		}),
		of(Rotated, func(e *Event) { e.Reason, e.Credentials = Rejected, refs[1:] }),
		broker(Admin, func(e *Event) {
			e.Action, e.Outcome, e.Detail, e.Connection, e.Peer, e.Duration = ActionDrain, OK, "orders-db", 7, who, time.Second
		}),
		broker(Lost, func(e *Event) { e.Count = 3 }),
	}
}

func stamped(e Event) object {
	w := &writer{run: strings.Repeat("1f", 8)}
	var o object
	if err := json.Unmarshal(w.stamp(e.Line(), 12), &o); err != nil {
		panic(err)
	}
	return o
}

// Every type with all of its fields is valid, and neither without one that is
// required nor with one of another type.
func TestEveryEventAndEveryField(t *testing.T) {
	schema := compiled(t)
	known := events()
	if got := len(completeEvents()); got != len(known) {
		t.Errorf("%d types of events are tested, there are %d", got, len(known))
	}
	for _, e := range completeEvents() {
		t.Run(string(e.Type), func(t *testing.T) {
			line := stamped(e)
			if err := schema.Validate(line); err != nil {
				t.Fatalf("%v: %v", line, err)
			}
			f := known[e.Type]
			for _, name := range slices.Concat(f.always, f.maybe) {
				if _, ok := line[name]; !ok {
					t.Errorf("%s is not in the complete event: it is not tested", name)
				}
			}
			for name := range line {
				less := maps.Clone(line)
				delete(less, name)
				if optional := slices.Contains(f.maybe, name); (schema.Validate(less) == nil) != optional {
					t.Errorf("without %s: valid %v", name, !optional)
				}
				wrong := maps.Clone(line)
				wrong[name] = []any{object{}}
				if schema.Validate(wrong) == nil {
					t.Errorf("%s can be anything", name)
				}
			}
			for name := range properties() {
				more := maps.Clone(line)
				if _, there := line[name]; !there && name != "shortened" {
					more[name] = stamped(completeWith(name))[name]
					if schema.Validate(more) == nil {
						t.Errorf("takes %s, which it does not have", name)
					}
				}
			}
			line["other"] = 1
			if schema.Validate(line) == nil {
				t.Error("takes a field that nobody knows")
			}
		})
	}
}

// completeWith is an event that has the field.
func completeWith(name string) Event {
	for _, e := range completeEvents() {
		if _, ok := stamped(e)[name]; ok {
			return e
		}
	}
	return Event{}
}

func TestShortenedEventsAreValid(t *testing.T) {
	schema := compiled(t)
	for _, e := range completeEvents() {
		if e.Type == Lost {
			continue
		}
		long := strings.Repeat("é\x00\"", 3000)
		e.Peer.Executable, e.Config, e.Detail = long, long, long
		e.Service = strings.Repeat("s", 8000)
		line := variantOf(e)
		if line["shortened"] != true {
			t.Errorf("%s is not shortened", e.Type)
		}
		if err := schema.Validate(line); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
	}
}

// variantOf leaves out what the type does not have.
func variantOf(e Event) object {
	line, f := stamped(e), events()[e.Type]
	for name := range line {
		common := slices.Contains(words("time", "event", "v", "run", "seq", "shortened"), name)
		if !common && !slices.Contains(f.always, name) && !slices.Contains(f.maybe, name) {
			delete(line, name)
		}
	}
	return line
}

// The published file is the one that the program prints.
func TestSchemaIsPublished(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "audit-schema.json")
	if *update {
		if err := os.WriteFile(path, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, Schema()) {
		t.Errorf("%s is not what the program prints (%v): go test ./internal/audit -update", path, err)
	}
}
