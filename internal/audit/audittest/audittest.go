// Package audittest checks audit events in tests of everything that causes
// some. It is never in the binary.
package audittest

import (
	"bytes"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"secretless/internal/audit"
)

// Line is a parsed line, as far as tests look at it.
type Line struct {
	Event      audit.Type
	Service    string
	Connection uint64
	Reason     string
	Run        string
	Seq        uint64
	// All is the whole line.
	All map[string]any
}

// checker has a compiled schema for each type of event: to try all of them on
// every line would take tests that cause many too long.
type checker struct {
	compiler *jsonschema.Compiler
	mu       sync.Mutex
	byType   map[audit.Type]*jsonschema.Schema
}

func newChecker(t testing.TB) *checker {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(audit.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{compiler: jsonschema.NewCompiler(), byType: map[audit.Type]*jsonschema.Schema{}}
	if err := c.compiler.AddResource("audit.json", doc); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *checker) of(typ audit.Type) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byType[typ]
	if s != nil {
		return s, nil
	}
	s, err := c.compiler.Compile("audit.json#/$defs/event-" + string(typ))
	if err == nil {
		c.byType[typ] = s
	}
	return s, err
}

func (c *checker) line(text []byte) (Line, error) {
	var l Line
	if err := json.Unmarshal(text, &l); err != nil {
		return l, err
	}
	if err := json.Unmarshal(text, &l.All); err != nil {
		return l, err
	}
	s, err := c.of(l.Event)
	if err == nil {
		err = s.Validate(l.All)
	}
	return l, err
}

// File checks every line of an audit file against the schema, and that the
// numbers of each run have no gap. A file that is not there has no lines.
func File(t testing.TB, path string) []Line {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return Text(t, text)
}

// Text is File for what was read of one.
func Text(t testing.TB, text []byte) (lines []Line) {
	t.Helper()
	c := newChecker(t)
	last := map[string]uint64{}
	for line := range bytes.Lines(text) {
		l, err := c.line(line)
		if err != nil {
			t.Errorf("the audit has %s\n%v", line, err)
			continue
		}
		if l.Seq != last[l.Run]+1 {
			t.Errorf("the audit goes from line %d of run %s to %s", last[l.Run], l.Run, line)
		}
		last[l.Run] = l.Seq
		lines = append(lines, l)
	}
	return lines
}

// Events checks events that went to no file.
func Events(t testing.TB, events []audit.Event) {
	t.Helper()
	c := newChecker(t)
	for _, e := range events {
		line := bytes.TrimSuffix(e.Line(), []byte("}\n"))
		line = append(line, `,"v":1,"run":"0123456789abcdef","seq":1}`...)
		if _, err := c.line(line); err != nil {
			t.Errorf("%s\n%v", line, err)
		}
	}
}
