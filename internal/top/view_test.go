package top

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"secretless/internal/admin"
	"secretless/internal/broker"
)

// hostile is a name that would take a terminal over.
const hostile = "\x1b]0;owned\a\x1b[2J\u202eevil\u009b31m\r\n\t漢"

func sampleOf(connections int) *sample {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	s := &sample{status: admin.Status{
		Version: "secretless 1.2.3", Started: now.Add(-25 * time.Hour), Now: now, Ready: true, Config: "/etc/" + hostile,
		LogLevel:  admin.LevelReport{Level: "info"},
		Services:  []broker.ServiceStatus{{Name: "db" + hostile, Connector: "pg", Addresses: []string{"x"}, Active: int64(connections)}},
		Providers: []admin.Provider{{Name: "vault", Down: true, LastError: hostile}},
	}}
	for n := range 20 {
		s.errors = append(s.errors, admin.Entry{Seq: uint64(n), Time: now, Service: "db", Text: fmt.Sprint(n, hostile)})
	}
	for n := range connections {
		s.connections.Connections = append(s.connections.Connections, admin.Connection{
			ID: uint64(n + 1), Service: "db", State: broker.StateRelaying, Since: now.Add(-time.Duration(n) * time.Second),
			Peer: &admin.Peer{UID: 1, PID: n, Executable: "/bin/" + hostile}, Target: hostile, BytesToTarget: int64(n),
		})
	}
	s.connections.Total = connections
	return s
}

// Whatever the size, the view fills it exactly, and nothing that others have
// named does anything to the terminal.
func TestViewFits(t *testing.T) {
	for _, connections := range []int{0, 1, 500} {
		v := view{model: next(nil, sampleOf(connections))}
		v.move(1)
		for height := 1; height <= 60; height++ {
			for _, width := range []int{1, 2, 20, 79, 80, 200} {
				lines := v.render(width, height)
				if len(lines) != height {
					t.Fatalf("%d lines on a screen of %dx%d", len(lines), width, height)
				}
				for _, l := range lines {
					if n := len([]rune(l.text)); n > width {
						t.Fatalf("%d cells on a screen of %dx%d: %q", n, width, height, l.text)
					}
					checkText(t, l.text)
				}
			}
		}
		for _, l := range v.render(0, 0) {
			checkText(t, l.text)
		}
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if !unicode.IsPrint(r) || r > 0x483 && r != '…' {
			t.Fatalf("%q on the screen", text)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain":   "plain",
		"größe ю": "größe ю",
		hostile:   `\x1b]0;owned\a\x1b[2J\u202eevil\u009b31m\r\n\t\u6f22`,
		"\xff":    `\ufffd`,
		"a\u0301": `a\u0301`,
		"\u00ad":  `\u00ad`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 1023: "1023", 1024: "1.0K", 1536: "1.5K", 3 << 30: "3.0G"} {
		if got := Bytes(n); got != want {
			t.Errorf("%v: %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 90 * time.Minute: "1h30m", 50 * time.Hour: "2d02h",
	} {
		if got := Age(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestRates(t *testing.T) {
	first, second := sampleOf(3), sampleOf(3)
	second.status.Now = second.status.Now.Add(2 * time.Second)
	service := &second.status.Services[0]
	service.Accepted, service.Failed, service.Refused, service.BytesToTarget = 10, 1, 2, 4096
	second.connections.Connections[1].BytesToClient = 200
	m := next(next(nil, first), second)
	if f := m.services[service.Name]; f != (flow{5, 1.5, 2048, 0}) || m.total != f {
		t.Errorf("got %+v, total %+v", f, m.total)
	}
	if m.bytes[2] != 100 || m.bytes[1] != 0 {
		t.Errorf("of connections: %v", m.bytes)
	}
	if list := m.sorted(byRate); list[0].ID != 2 || list[1].ID != 1 {
		t.Errorf("by rate: %+v", list)
	}
	if list := m.sorted(byBytes); list[0].ID != 2 || list[1].ID != 3 {
		t.Errorf("by bytes: %+v", list)
	}

	// Another broker at the same socket has counters of its own.
	third := sampleOf(3)
	third.status.Started, third.status.Now = second.status.Now, second.status.Now.Add(time.Second)
	if m = next(m, third); len(m.services) != 0 || len(m.bytes) != 0 {
		t.Errorf("rates across two brokers: %+v", m)
	}
}

func TestKeys(t *testing.T) {
	for in, want := range map[string]string{
		"q":                  "[113]",
		"\x1b[A\x1bOB":       fmt.Sprint([]key{keyUp, keyDown}),
		"\x1b[5~\x1b[6~j":    fmt.Sprint([]key{keyPageUp, keyPageDown, 'j'}),
		"\x1b":               fmt.Sprint([]key{keyEscape}),
		"\x1bq":              fmt.Sprint([]key{keyEscape, 'q'}),
		"\x1b[200~\x1b[1;5A": "[]", // nothing of what is unknown is taken for letters
		"\x1b[1;5":           "[]",
	} {
		if got := fmt.Sprint(parseKeys([]byte(in))); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("\x1b[A\x1bOBq\x1b[1;5"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v := view{model: next(nil, sampleOf(3))}
		for _, k := range parseKeys(b) {
			v.press(k)
			if strings.Contains(fmt.Sprint(v.render(80, 24)), "\x1b") {
				t.Fatal("an escape sequence on the screen")
			}
		}
	})
}

// The choice follows its connection, and stays on the screen.
func TestChoice(t *testing.T) {
	v := view{model: next(nil, sampleOf(100)), by: byAge}
	if got := v.press('x'); got.close != 0 || v.asking != nil || v.note == "" {
		t.Errorf("nothing was chosen: %+v %+v", got, v)
	}
	for range 60 {
		v.press('j')
	}
	if v.at != 60 {
		t.Fatalf("at %d", v.at)
	}
	found := false
	for _, l := range v.render(100, 24) {
		if l.style == chosen {
			found = strings.HasPrefix(strings.TrimSpace(l.text), "60 ")
		}
	}
	if !found {
		t.Error("the choice is not on the screen")
	}
	v.press('s') // by rate: all are zero, so that the order stays
	if v.press('G'); v.at != 100 {
		t.Errorf("at the end: %d", v.at)
	}
	if v.press(keyHome); v.at != 1 {
		t.Errorf("at the beginning: %d", v.at)
	}
	v.press('x')
	if v.press('?'); v.asking == nil {
		t.Error("another key answers the question")
	}
	if got := v.press('y'); got.close != 1 || v.asking != nil {
		t.Errorf("got %+v", got)
	}
	if got := v.press('q'); !got.quit {
		t.Error("q does not quit")
	}
}
