package plainjson

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"unicode"
)

// hostile has what a terminal may obey: CSI in one character, a new direction,
// no width, a character of two units, DEL.
const hostile = "a\u009b2J\u0085\u202e\u200b\ufeff\U000e0041\x7f\x1b]0;x\aé漢\u2028"

func TestEscape(t *testing.T) {
	plain, err := json.Marshal("é漢😀 <&> plain")
	if err != nil {
		t.Fatal(err)
	}
	if got := Escape(plain); &got[0] != &plain[0] {
		t.Errorf("%q became %q", plain, got)
	}
	if got := string(Escape([]byte("{\"a\":\"\u009b\U000e0041\"}\n"))); got != `{"a":"\u009b\udb40\udc41"}`+"\n" {
		t.Errorf("got %q", got)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add(hostile)
	f.Add("\xff\x9b\xc2")
	f.Fuzz(func(t *testing.T, text string) {
		var out strings.Builder
		enc := json.NewEncoder(Writer(&out))
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]string{text: text}); err != nil {
			t.Fatal(err)
		}
		if n := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); n >= 0 {
			t.Errorf("%q is left in %q", out.String()[n:min(n+8, out.Len())], out.String())
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
			t.Fatalf("%v in %q", err, out.String())
		}
		want := strings.ToValidUTF8(text, "\ufffd")
		for k, v := range got {
			if k != v || len([]rune(v)) != len([]rune(text)) || want == text && v != text {
				t.Errorf("%q came back as %q: %q", text, k, v)
			}
		}
	})
}

func TestLog(t *testing.T) {
	var out strings.Builder
	slog.New(slog.NewJSONHandler(Writer(&out), nil)).Error(hostile, "error", errors.New(hostile))
	if !strings.Contains(out.String(), `a\u009b2J`) || strings.ContainsFunc(out.String(), hidden) {
		t.Errorf("%q", out.String())
	}
	if _, err := io.WriteString(Writer(failing{}), "x"); err == nil {
		t.Error("no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
