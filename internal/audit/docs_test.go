package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The lines that the page shows are events as they are written, one of each
// type at least, and the page of the agent has one as well.
func TestDocumentedEvents(t *testing.T) {
	schema := compiled(t)
	seen := map[Type]bool{}
	for _, page := range []string{"audit.md", filepath.Join("connectors", "ssh-agent.md")} {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, `{"time":`) {
				continue
			}
			found++
			var o object
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Errorf("%s: %v in %s", page, err, line)
				continue
			}
			if err := schema.Validate(o); err != nil {
				t.Errorf("%s: %s%v", page, line, err)
			}
			seen[Type(o["event"].(string))] = true
		}
		if found == 0 {
			t.Errorf("%s shows no event", page)
		}
	}
	for typ := range events() {
		if !seen[typ] {
			t.Errorf("no page shows the event %s", typ)
		}
	}
}
