package audit

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"secretless/internal/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files")

var sample = Event{
	Time: time.Date(2026, 11, 23, 20, 0, 0, 123456789, time.FixedZone("", 3600)),
	Type: Opened, Service: "orders-db", Connector: "pg", Connection: 7,
	Listener: "127.0.0.1:5432", Remote: "127.0.0.1:40312",
	Peer: peer.Identity{Known: true, UID: 1000, GID: 100, PID: 4711, Executable: "/usr/bin/psql"},
}

func variant(f func(*Event)) Event {
	e := sample
	f(&e)
	return e
}

// People and programs read these lines: a change of the format is a change for
// them.
func TestLineFormat(t *testing.T) {
	var got bytes.Buffer
	for _, e := range []Event{
		sample,
		variant(func(e *Event) {
			e.Type, e.ToTarget, e.ToClient, e.Duration = Closed, 1<<40, 0, 1500*time.Millisecond
		}),
		variant(func(e *Event) { e.Type, e.Reason, e.Duration = Closed, "idle", time.Hour }),
		variant(func(e *Event) { e.Type, e.Reason, e.Duration = Failed, "rejected", 0 }),
		variant(func(e *Event) { e.Type, e.Reason, e.Peer = Refused, "limit", peer.Identity{} }),
		variant(func(e *Event) { e.Type, e.Reason, e.Peer = Refused, "peer", peer.Identity{Known: true} }),
		variant(func(e *Event) { e.Service, e.Peer.Executable = "a\"b\n<&>", "/tmp/\xff\u2028x\x00" }),
		variant(func(e *Event) { e.Type, e.Detail = Used, "SHA256:abc\nsigned" }),
		{Time: sample.Time, Type: Lost, Count: 3},
	} {
		got.Write(e.Line())
	}
	for _, e := range completeEvents() {
		got.Write(e.Line())
	}
	golden := filepath.Join("testdata", "lines.jsonl")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

// Whatever others put into names, a line is one object of a bounded length.
// What a client or a target has named does nothing to the terminal of who reads
// the file: JSON itself leaves all but the first 32 characters as they are.
func TestLineDrivesNoTerminal(t *testing.T) {
	const hostile = "a\x7f\u009b31m\u009d0;x\u009c\u202e\u200bé\U000e0041"
	e := variant(func(e *Event) { e.Detail, e.Target = hostile, &Target{Address: hostile} })
	line := string(e.Line())
	for _, r := range strings.TrimSuffix(line, "\n") {
		if !unicode.IsPrint(r) {
			t.Errorf("%U is in %q", r, line)
		}
	}
	var back struct{ Detail string }
	if err := json.Unmarshal([]byte(line), &back); err != nil || back.Detail != hostile {
		t.Errorf("%q: %v", back.Detail, err)
	}
}

func FuzzLineIsOneObject(f *testing.F) {
	f.Add("orders-db", "/usr/bin/psql", "limit")
	f.Add("a\nb", "\xff\x00", "\u2028{}")
	f.Add(strings.Repeat("x", 5000), strings.Repeat("\x00", 5000), strings.Repeat("\"é", 2000))
	f.Fuzz(func(t *testing.T, a, b, c string) {
		e := variant(func(e *Event) { e.Type, e.Service, e.Peer.Executable, e.Reason = Used, a, b, c })
		e.Peer.Container, e.Peer.Pod, e.Listener, e.Remote, e.Detail = a, b, c, a, b
		e.Credentials = []Reference{{a, b, c}, {c, b, a}}
		e.Request = &Request{a, b, c, a}
		e.Target = &Target{Address: a, Remote: b, HostKey: c, TLS: &TLS{Version: a, Subject: b, Issuer: c, Names: []string{a, b, c, a}, SHA256: b}}
		e.By, e.Version, e.Config = a, b, c
		line := e.Line()
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' || !json.Valid(line) {
			t.Errorf("line %.200q", line)
		}
		if len(line) > maxLine {
			t.Errorf("%d bytes: %.200s…", len(line), line)
		}
	})
}
