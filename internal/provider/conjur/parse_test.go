package conjur

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestFindNetrc(t *testing.T) {
	for name, c := range map[string]struct{ text, login, password string }{
		"plain":        {"machine m login l password p", "l", "p"},
		"lines":        {"machine x\n login a\n password b\nmachine m\r\n\tlogin l\r\n\tpassword p\r\n", "l", "p"},
		"default":      {"machine x login a password b default login l password p", "l", "p"},
		"own first":    {"default login a password b\nmachine m login l password p", "l", "p"},
		"first of two": {"machine m login l password p\nmachine m login a password b", "l", "p"},
		"none":         {"machine x login a password b", "", ""},
		"empty":        {"", "", ""},
		"macro":        {"machine m login l password p\nmacdef init\nmachine m login x\n\nmachine y login z", "l", "p"},
		"comment":      {"# machine m login x password y\nmachine m login l password p", "l", "p"},
		"account":      {"machine m account c login l password p#q", "l", "p#q"},
	} {
		login, password, err := findNetrc(c.text, "m")
		if err != nil || login != c.login || password != c.password {
			t.Errorf("%s: got %q, %q, %v", name, login, password, err)
		}
	}
	for _, bad := range []string{"login x", "machine", "machine m login", "<html>", "machine m password"} {
		if _, _, err := findNetrc(bad, "m"); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func FuzzFindNetrc(f *testing.F) {
	for _, seed := range []string{"machine m login l password p", "default login a\n\nmacdef x\n y\n\nmachine m", "# c\nmachine", "machine m login"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		login, password, err := findNetrc(text, "m")
		if err != nil && strings.ContainsAny(err.Error(), "\n") {
			t.Fatal("error of several lines")
		}
		for _, found := range []string{login, password} {
			if found != "" && (!strings.Contains(text, found) || strings.ContainsAny(found, " \t\n")) {
				t.Fatalf("%q: found %q", text, found)
			}
		}
	})
}

func tokenOf(payload string) []byte {
	return []byte(`{"protected":"cA==","payload":"` + base64.StdEncoding.EncodeToString([]byte(payload)) + `","signature":"cw=="}`)
}

func TestReadToken(t *testing.T) {
	now := time.Now()
	for payload, life := range map[string]time.Duration{
		`{"sub":"x","iat":1510753259}`:             tokenLife,
		`{"iat":1510753259,"exp":1510753319}`:      time.Minute,
		`{"iat":1510753259,"exp":1510756859}`:      time.Hour,
		`{"iat":1510753259.5,"exp":1510753319.25}`: time.Minute,
	} {
		tok, err := readToken(tokenOf(payload), now)
		if err != nil || !tok.ends.Equal(now.Add(life-tokenMargin)) || !tok.renew.Equal(now.Add(life*3/4)) {
			t.Errorf("%s: %+v, %v", payload, tok, err)
		}
	}
	for _, bad := range [][]byte{
		nil, []byte("x"), []byte("null"), []byte(`{"protected":"a","payload":"a"}`), []byte(`{"protected":"a","payload":"%","signature":"s"}`),
		tokenOf("x"), tokenOf("{}"), tokenOf(`{"iat":"x"}`), tokenOf(`{"iat":2,"exp":1}`), tokenOf(`{"iat":1,"exp":1e9}`), tokenOf(`{"iat":-1}`), tokenOf(`{"iat":1e300}`),
	} {
		if _, err := readToken(append([]byte(nil), bad...), now); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func FuzzReadToken(f *testing.F) {
	f.Add(tokenOf(`{"iat":1510753259,"exp":1510753319}`))
	f.Add(tokenOf(`{"iat":1}`))
	f.Add([]byte(`{"protected":"a","payload":"e30","signature":"s"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		now := time.Now()
		tok, err := readToken(append([]byte(nil), b...), now)
		if err != nil {
			return
		}
		if tok.ends.After(now.Add(maxTokenLife)) || tok.renew.After(now.Add(maxTokenLife)) || string(tok.raw.Bytes()) != string(b) {
			t.Fatalf("%q: %+v", b, tok)
		}
	})
}
