package exec

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseAnswer(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", " {\r\n\t} \n": "",
		`{"a":""}`: "", `{"a":"\"\\\/\b\f\n\r\t\u0000\u20AC\ud83d\ude00"}`: "",
		`{"a":{"value":"x","expires":null}}`:                   "",
		`{"a":{"expires":"2030-01-02t03:04:05z","base64":""}}`: "",
		"":                                 ErrNothing.Error(),
		" \n":                              ErrNothing.Error(),
		`[]`:                               `wrong at byte 0: an object in braces`,
		"\x00":                             `wrong at byte 0: an object in braces`,
		"{\"a\":\"b\"}\x00":                `wrong at byte 9: something follows`,
		`{`:                                `wrong at byte 1: a string in quotes is expected`,
		`{a:"b"}`:                          `wrong at byte 1: a string in quotes is expected`,
		`{"a"}`:                            `wrong at byte 4: a colon is expected`,
		`{"a":"b",}`:                       `wrong at byte 9: a string in quotes is expected`,
		`{"a":"b" "c":"d"}`:                `wrong at byte 9: a comma or a closing brace is expected`,
		`{"a":`:                            `wrong at byte 5: a value must be`,
		`{"a":true}`:                       `wrong at byte 5: a value must be`,
		`{"a":["b"]}`:                      `wrong at byte 5: a value must be`,
		`{"a":nil}`:                        `wrong at byte 5: null is expected`,
		`{"a":"\x"}`:                       `wrong at byte 6: a string has a backslash before something that JSON does not know`,
		`{"a":"\ud83d"}`:                   `wrong at byte 6: a string has a backslash`,
		`{"a":"\ude00\ud83d"}`:             `wrong at byte 6: a string has a backslash`,
		`{"a":"\u12"}`:                     `wrong at byte 6: a string has a backslash`,
		`{"a":"\u+123"}`:                   `wrong at byte 6: a string has a backslash`,
		`{"a":"\`:                          `wrong at byte 6: a string has no end`,
		"{\"a\":\"b\nc\"}":                 `wrong at byte 7: a control character`,
		"{\"a\":\"\xff\"}":                 `wrong at byte 6: a string is no valid UTF-8`,
		`{"a":{}}`:                         `wrong at byte 7: an object has neither`,
		`{"a":{"value":null}}`:             `wrong at byte 14: a string in quotes is expected`,
		`{"a":{"value":"","base64":""}}`:   `wrong at byte 26: a value stands there twice`,
		`{"a":{"value":"","expire":""}}`:   `wrong at byte 26: a key is not known here`,
		`{"a":{"value":"","expires":"x"}}`: `wrong at byte 27: expires is no time of RFC 3339`,
		`{"a":{"base64":"AP8"}}`:           `wrong at byte 15: base64 is broken`,
	} {
		leases, err := parseAnswer([]byte(text))
		wipe(leases)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// FuzzParseAnswer compares with encoding/json: what the scanner takes, that
// takes too and with the same values.
func FuzzParseAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"a": "b", "c": {"value": "\ud83d\ude00", "expires": "2030-01-02T03:04:05Z"}, "d": {"base64": "AP8="}, "e": null}`,
		`{}`, `{"a":{"value":"x","expires":null}}`, `{"\u0061":"\"\\\/\b\f\n\r\t"}`, "", `{"a":"b"}x`, `{"a":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		leases, err := parseAnswer(text)
		if err != nil {
			e, ok := err.(*AnswerError)                                             //nolint:errorlint // the parser's own
			if err != ErrNothing && (!ok || e.Offset < 0 || e.Offset > len(text)) { //nolint:errorlint // likewise
				t.Fatalf("error %v", err)
			}
			return
		}
		if !utf8.Valid(text) {
			t.Fatal("invalid UTF-8 was taken")
		}
		var other map[string]json.RawMessage
		if err := json.Unmarshal(text, &other); err != nil {
			t.Fatalf("taken, but not by encoding/json: %v", err)
		}
		for id, raw := range other {
			var short *string
			var long struct {
				Value   *string
				Base64  *string
				Expires *time.Time
			}
			l, ok := leases[id]
			switch {
			case string(raw) == "null":
				if ok {
					t.Fatalf("%q is null and has a lease", id)
				}
				continue
			case json.Unmarshal(raw, &short) == nil:
			case json.Unmarshal(raw, &long) != nil && !strings.Contains(string(raw), "expires"):
				t.Fatalf("%s was taken", raw)
			}
			want := short
			if long.Value != nil {
				want = long.Value
			}
			if long.Base64 != nil {
				b, err := base64.StdEncoding.DecodeString(*long.Base64)
				if err != nil {
					t.Fatalf("base64 %q was taken: %v", *long.Base64, err)
				}
				decoded := string(b)
				want = &decoded
			}
			if !ok || want != nil && string(l.Value.Bytes()) != *want {
				t.Fatalf("%q: got %q, want %q", id, l.Value.Bytes(), *want)
			}
		}
	})
}

func TestLogIsBounded(t *testing.T) {
	l := &lineLog{}
	now := time.Now()
	logged := 0
	for range 1000 {
		if _, ok := l.admit(now); ok {
			logged++
		}
	}
	if logged != maxLines {
		t.Errorf("%d lines in a window, want %d", logged, maxLines)
	}
	if dropped, ok := l.admit(now.Add(logWindow)); dropped != 1000-maxLines || !ok {
		t.Errorf("next window: %d, %v", dropped, ok)
	}
}

func TestRedactor(t *testing.T) {
	var r redactor
	r.value([]byte("abc"))
	r.value([]byte("hunter2"))
	r.value([]byte("hunter22"))
	r.value([]byte("-----BEGIN\nkey line\n"))
	if got, want := string(r.clean([]byte("abc hunter2, hunter22: key line aHVudGVyMg==\n"))), "abc [secret], [secret]: [secret] [secret]\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
