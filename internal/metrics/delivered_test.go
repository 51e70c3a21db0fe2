package metrics

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"secretless/internal/testenv"
)

var update = flag.Bool("update", false, "write the list of docs/metrics.md anew")

func delivered(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const (
	listBegin = "<!-- list of metrics: go test ./internal/metrics -update -->\n"
	listEnd   = "<!-- end of the list -->\n"
)

// list is the table of docs/metrics.md.
func list() string {
	kinds := map[prometheus.ValueType]string{prometheus.CounterValue: "counter", prometheus.GaugeValue: "gauge", histogramKind: "histogram"}
	all := slices.SortedFunc(maps.Values(families()), func(x, y family) int { return cmp.Compare(x.name, y.name) })
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range all {
		labels := "–"
		if len(f.labels) > 0 {
			labels = "`" + strings.Join(f.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, kinds[f.kind], labels, f.help)
	}
	return b.String()
}

func TestDocumentedMetrics(t *testing.T) {
	page := delivered(t, "docs", "metrics.md")
	before, rest, ok := strings.Cut(page, listBegin)
	_, after, ok2 := strings.Cut(rest, listEnd)
	if !ok || !ok2 {
		t.Fatal("docs/metrics.md has no place for the list")
	}
	want := before + listBegin + list() + listEnd + after
	if *update {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "metrics.md"), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if page != want {
		t.Error("docs/metrics.md does not list the metrics that there are; run go test ./internal/metrics -update")
	}
}

// A histogram has three series, and those of Go and the process are others'.
func exposed(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, f := range families() {
		names[f.name] = true
		if f.kind == histogramKind {
			names[f.name+"_bucket"], names[f.name+"_sum"], names[f.name+"_count"] = true, true, true
		}
	}
	gathered, err := NewRegistry(Sources{}).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range gathered {
		names[f.GetName()] = true
	}
	return names
}

var metricName = regexp.MustCompile(`\b(?:secretless|go|process)_[a-z_]+`)

// Every metric in an expression exists, and every expression is about one.
func checkExpressions(t *testing.T, what string, expressions []string) {
	t.Helper()
	names := exposed(t)
	for _, e := range expressions {
		found := metricName.FindAllString(e, -1)
		if len(found) == 0 {
			t.Errorf("%s: no metric in %s", what, e)
		}
		for _, name := range found {
			if !names[name] {
				t.Errorf("%s: there is no metric %s (in %s)", what, name, e)
			}
		}
	}
	// Prometheus' own parser, on one line each, with a time for Grafana's.
	var lines strings.Builder
	for _, e := range expressions {
		lines.WriteString(strings.ReplaceAll(strings.ReplaceAll(e, "$__rate_interval", "5m"), "\n", " ") + "\n")
	}
	parse := exec.CommandContext(t.Context(), testenv.GoTool(t, "promrules"))
	parse.Stdin = strings.NewReader(lines.String())
	if out, err := parse.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", what, err, out)
	}
}

func TestDashboard(t *testing.T) {
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(delivered(t, "deploy", "grafana", "secretless.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var expressions []string
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("panel %d is there twice", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q is empty", p.Title)
		}
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	for _, a := range dashboard.Annotations.List {
		expressions = append(expressions, a.Expr)
	}
	if len(expressions) < 30 {
		t.Errorf("only %d expressions: is the reading right?", len(expressions))
	}
	checkExpressions(t, "dashboard", expressions)
}

func TestAlertRules(t *testing.T) {
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(delivered(t, "deploy", "prometheus", "alerts.yml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	page := delivered(t, "docs", "metrics.md")
	var expressions []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			expressions = append(expressions, r.Expr)
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("rule %+v is incomplete", r)
			}
			if !strings.Contains(page, "`"+r.Alert+"`") {
				t.Errorf("docs/metrics.md says nothing about %s", r.Alert)
			}
		}
	}
	if len(expressions) < 10 {
		t.Errorf("only %d rules", len(expressions))
	}
	checkExpressions(t, "alerts", expressions)
}
