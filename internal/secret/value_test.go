package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"

	"secretless/internal/secret"
)

// The bytes as any verb would show them.
const canary = "c4nary"

var spellings = []string{
	canary, "63346e617279", "63346E617279", "[99 52 110", "99, 52, 110", "0x63, 0x34", "0x63 0x34", "99 52 110",
	"YzRuYXJ5", // base64
	"143 64 156", "1100011 110100", "U+0063",
}

func wantHidden(t *testing.T, how, out string) {
	t.Helper()
	for _, s := range spellings {
		if strings.Contains(out, s) {
			t.Errorf("%s reveals the secret: %s", how, out)
			return
		}
	}
}

type holder struct {
	Public  secret.Value
	Pointer *secret.Value
	private secret.Value
	hidden  *secret.Value
	list    []secret.Value
	byName  map[string]secret.Value
	any     any
	set     *secret.Set
}

func things() map[string]any {
	v := secret.Copy(canary)
	set := secret.NewSet(map[string]secret.Value{"password": v})
	set.Origin = &v
	h := holder{v, &v, v, &v, []secret.Value{v}, map[string]secret.Value{"k": v}, v, set}
	return map[string]any{
		"value": v, "pointer": &v, "pointer to pointer": func() any { p := &v; return &p }(),
		"slice": []secret.Value{v}, "array": [1]secret.Value{v}, "pointers": []*secret.Value{&v},
		"map": map[string]secret.Value{"k": v}, "key": map[secret.Value]int{v: 1},
		"struct": h, "pointer to struct": &h, "nested": []any{h, &h, [][]holder{{h}}},
		"set": set, "set by value": *set, "slice of sets": []*secret.Set{set},
		"wrapped": fmt.Errorf("failed with %v: %w", v, errors.New("why")),
		"channel": make(chan secret.Value), "func": v.Bytes,
	}
}

func TestEveryVerb(t *testing.T) {
	for name, x := range things() {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspwy" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "#+", "+5.3", "# ", "40", "-40", ".2"} {
				format := "%" + flags + string(verb)
				wantHidden(t, name+" with "+format, fmt.Sprintf(format, x))
			}
		}
		wantHidden(t, name+" with Print", fmt.Sprint(x))
		wantHidden(t, name+" with Println", fmt.Sprintln(x, "end"))
		wantHidden(t, name+" with Errorf", fmt.Errorf("%d %v", x, x).Error())
		for _, format := range []string{"none", "%*d", "%[2]v", "%!"} { // mistakes print what is left over
			wantHidden(t, name+" with "+format, fmt.Sprintf(format, x, 1))
		}
	}
	if got := fmt.Sprintf("%s|%q|%x|%d|%10v", secret.Copy("a"), secret.Copy("a"), secret.Copy("a"), secret.Copy("a"), secret.Value{}); got != "[secret]|[secret]|[secret]|[secret]|[secret]" {
		t.Errorf("got %s", got)
	}
	if v := secret.Copy("a"); v.String() != secret.Redacted || v.GoString() != secret.Redacted {
		t.Error("String or GoString")
	}
}

func TestLoggers(t *testing.T) {
	for name, x := range things() {
		var out bytes.Buffer
		opts := &slog.HandlerOptions{Level: slog.LevelDebug}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, opts), slog.NewJSONHandler(&out, opts)} {
			log := slog.New(h)
			log.Info("m", "x", x)
			log.With("x", x).WithGroup("g").Info("m", slog.Group("y", slog.Any("x", x)))
			log.Info(fmt.Sprint(x))
		}
		wantHidden(t, name+" in slog", out.String())
	}
}

func TestEncoders(t *testing.T) {
	for name, x := range things() {
		if b, err := json.Marshal(x); err == nil {
			wantHidden(t, name+" as JSON", string(b))
		}
		if b, err := xml.Marshal(x); err == nil {
			wantHidden(t, name+" as XML", string(b))
		}
		wantHidden(t, name+" as YAML", asYAML(x))
		var out bytes.Buffer
		if err := template.Must(template.New("t").Parse("{{.}} {{printf \"%x\" .}}")).Execute(&out, x); err == nil {
			wantHidden(t, name+" in a template", out.String())
		}
	}
	v := secret.Copy(canary)
	for encoder, got := range map[string]func() ([]byte, error){
		`"[secret]"`:              func() ([]byte, error) { return json.Marshal(v) },
		`<Value>[secret]</Value>`: func() ([]byte, error) { return xml.Marshal(v) },
		`'[secret]'` + "\n":       func() ([]byte, error) { return yaml.Marshal(v) },
	} {
		if b, err := got(); err != nil || string(b) != encoder {
			t.Errorf("got %q, %v; want %q", b, err, encoder)
		}
	}
}

// asYAML turns the encoder's panic on types it cannot do into text.
func asYAML(x any) (out string) {
	defer func() {
		if r := recover(); r != nil {
			out = fmt.Sprint(r)
		}
	}()
	b, err := yaml.Marshal(x)
	return string(b) + fmt.Sprint(err)
}

func TestWipe(t *testing.T) {
	raw := append(make([]byte, 0, 32), canary...)
	spare := raw[:len(canary)+3]
	copy(spare[len(canary):], "tai") // what a shorter slice would leave
	v := secret.New(raw)
	twin, clone := v, v.Clone()
	v.Wipe()
	if !bytes.Equal(spare, make([]byte, len(spare))) {
		t.Errorf("bytes left: %q", spare)
	}
	for _, x := range []secret.Value{v, twin} {
		if x.Len() != 0 || x.Bytes() != nil || x.Borrow() != "" {
			t.Error("wiped value or its copy is not empty")
		}
	}
	if string(clone.Bytes()) != canary {
		t.Error("wiping reached the clone")
	}
	v.Wipe()
	twin.Wipe()
	secret.Value{}.Wipe()
}

func TestZeroValue(t *testing.T) {
	var v secret.Value
	if v.Len() != 0 || v.Bytes() != nil || v.Borrow() != "" || !v.Equal(secret.Copy("")) || v.Clone().Len() != 0 {
		t.Error("zero Value is not an empty one")
	}
}

func TestBytes(t *testing.T) {
	b := []byte("pä\x00ss\n")
	v := secret.Copy(b)
	b[0] = 'X'
	if string(v.Bytes()) != "pä\x00ss\n" || v.Borrow() != "pä\x00ss\n" || v.Len() != 7 {
		t.Errorf("got %q", v.Bytes())
	}
	if !v.Equal(secret.Copy("pä\x00ss\n")) || v.Equal(secret.Copy("pä\x00ss")) || v.Equal(secret.Copy("pä\x00ss\t")) {
		t.Error("Equal")
	}
}

func TestSet(t *testing.T) {
	password := secret.Copy(canary)
	s := secret.NewSet(map[string]secret.Value{"password": password, "host": secret.Copy("db"), "port": {}})
	if got := strings.Join(s.Names(), " "); got != "host password port" {
		t.Errorf("names %s", got)
	}
	if v, ok := s.Get("password"); !ok || !v.Equal(password) {
		t.Error("Get")
	}
	if _, ok := s.Get("nothing"); ok {
		t.Error("Get of an unknown name")
	}
	host := s.Text("host", "x")
	if s.Text("port", "5432") != "5432" || s.Text("nothing", "y") != "y" || s.Text("nothing", "") != "" {
		t.Error("fallback")
	}
	s.Wipe()
	if password.Len() != 0 {
		t.Error("not wiped")
	}
	if host != "db" {
		t.Error("Text must copy")
	}
	(*secret.Set)(nil).Wipe()
}
