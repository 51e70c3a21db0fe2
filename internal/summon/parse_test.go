package summon

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// spell is an entry on one line.
func spell(e Entry) string {
	s := e.Name + "="
	if e.Var {
		s += "var:"
	}
	if e.File {
		s += "file:"
	}
	s += e.Value
	if e.Default != "" {
		s += "|" + e.Default
	}
	return s
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text, environment string
		want              string
	}{
		"empty":         {"", "", ""},
		"comments only": {"# none\n", "", ""},
		"null":          {"~", "", ""},
		"forms": {`
A: !var $env/key
B: !file:var $env/key
C: !var:file x
D: !file my content
E: $env
F: !var:default='v:a''l%20u':file $env/key
G: !default='def' foo
H: FOO$$BAR $ 5$
I: 27.1111
J: 027
K: true
L:
M: !str:var x
N: !str "!var"
O: 2020-01-02
P: !!str 7
Q: !file |
  two
  lines
"R S": é
`, "", `A=var:prod/key B=var:file:prod/key C=var:file:x D=file:my content E=prod F=var:file:prod/key|v:a''l u G=foo|def H=FOO$BAR $ 5$ I=27.1111 J=027 K=true L= M=var:x N=!var O=2020-01-02 P=7 Q=file:two
lines
 R S=é`},
		"common is left out without a section": {"A: x\ncommon:\n  B: y\ndefault: {C: z}\n", "", "A=x"},
		"section": {
			"common: {A: a, B: b}\ndefault: {A: z, D: d}\nprod: {B: !var own, C: c}\nother: {X: !vra x}\n", "prod",
			"B=var:own C=c A=a",
		},
		"section and default": {"default: {A: a}\nprod:\n", "default", "A=a"},
		"alias":               {"A: &a !var x\nB: *a\n", "", "A=var:x B=var:x"},
		"merge":               {"base: &b {A: a, B: b}\nmore: &m {B: m, C: m}\nprod:\n  <<: [*b, *m]\n  A: own\n", "prod", "A=own B=b C=m"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "section and default" {
				c.text = "default: {A: a}\n"
			}
			entries, err := Parse("secrets.yml", []byte(c.text), Options{Environment: c.environment, Define: map[string]string{"env": "prod"}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, spell(e))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got  %s\nwant %s", s, c.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, environment, want string }{
		"syntax":       {"A: [", "", `f:1:1: did not find expected node content`},
		"list":         {"- A", "", `f:1:1: a secrets.yml is a map from names to values`},
		"documents":    {"A: b\n---\nC: d\n", "", `f: file has more than one YAML document`},
		"files":        {"summon.files:\n  - path: x\n", "", `f:1:1: summon.files is not supported here: use !file or !file:var, and the path in the variable`},
		"section":      {"prod: {A: b}", "", `f:1:1: "prod" is a section: choose one with -e`},
		"no sections":  {"A: b", "prod", "f: no section \"prod\"; there are: \nf:1:1: \"A\" is no section, and with -e a file has sections only"},
		"no such":      {"prod: {}\ntest: {}", "dev", `f: no section "dev"; there are: prod, test`},
		"twice":        {"A: b\nB: c\nA: d\n", "", `f:3:1: "A" stands here twice; the first is in line 1`},
		"twice below":  {"p:\n  A: b\n  A: d\n", "p", `f:3:3: "A" stands here twice; the first is in line 2`},
		"tag":          {"A: !secret b", "", `f:1:4: A: unknown tag !secret; known are var, file, str, default='…'`},
		"core tag":     {"A: !!binary b", "", `f:1:4: A: unknown tag !!binary; a value without a tag is taken as it is`},
		"quote":        {"A: !default='a b' c", "", `f:1:4: A: default='…' has no closing quote (a tag ends at the first space; write %20 for one)`},
		"no id":        {"A: !var", "", `f:1:4: A: !var needs the id of a secret`},
		"not a scalar": {"A: !var [b]", "", `f:1:4: A must be a single value`},
		"name":         {"A=B: c", "", `f:1:1: "A=B" cannot be the name of an environment variable`},
		"map as name":  {"{a: b}: c", "", `f:1:1: a key must be a name`},
		"undefined":    {"A: !var $x/$y", "", `f:1:4: A: $x is not defined: add -D x=…, or write $$ for a dollar`},
		"merge":        {"p:\n  <<: x\n", "p", `f:2:7: << needs a map, or a list of them`},
		"too large":    {strings.Repeat("#", MaxFile+1), "", `f: file has more than 1048576 bytes; is it the right one?`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(c.text), Options{Environment: c.environment})
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// What aliases multiply is bounded.
func TestMergeBomb(t *testing.T) {
	text := "a0: &a0 {X: y}\n"
	for i := 1; i < 10; i++ {
		prev := "*a" + string(rune('0'+i-1))
		text += "a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " {<<: [" + strings.Repeat(prev+", ", 99) + prev + "]}\n"
	}
	_, err := Parse("f", []byte(text), Options{Environment: "a9"})
	if err == nil || !strings.Contains(err.Error(), "more than 10000 entries") {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"A: !var $env/key\nB: !file:var:default='x' y\n", "common: &c {A: b}\nprod: {<<: *c, B: !str $$}\n",
		"A: &a b\nC: *a\n", "prod: {<<: [{A: b}, {C: d}]}", "? [a]\n: b", "summon.files: []", "--- a\n--- b",
	} {
		f.Add(seed, "", "env")
		f.Add(seed, "prod", "env")
	}
	f.Fuzz(func(t *testing.T, text, environment, name string) {
		entries, err := Parse("f", []byte(text), Options{Environment: environment, Define: map[string]string{name: "v"}})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, e := range entries {
			if e.Name == "" || strings.ContainsAny(e.Name, "=\x00") || seen[e.Name] {
				t.Fatalf("name %q", e.Name)
			}
			seen[e.Name] = true
			if e.Pos.Line < 1 || e.Pos.Column < 1 {
				t.Fatalf("%s has no place", e.Name)
			}
			if e.Var && e.Value == "" {
				t.Fatalf("%s asks for nothing", e.Name)
			}
		}
	})
}

// Every secrets.yml in the documentation parses.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "summon.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yml\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 2 {
		t.Fatalf("found %d blocks", len(blocks))
	}
	for _, b := range blocks {
		environment := ""
		if strings.Contains(b[1], "\nproduction:") {
			environment = "production"
		}
		if _, err := Parse("docs/summon.md", []byte(b[1]), Options{Environment: environment, Define: map[string]string{"env": "x"}}); err != nil {
			t.Error(err)
		}
	}
}
