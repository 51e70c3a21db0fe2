package keychain

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"secretless/internal/provider"
	"secretless/internal/secret"
)

func TestCheckRef(t *testing.T) {
	const two = "id must have one # between service and account: write service#account"
	const empty = "service or account is empty: write service#account"
	for id, want := range map[string]string{
		"orders#app":                       "",
		"my service/db (prod)#app@db:5432": "",
		"dienst-ü#konto-密":                 "",
		"-w#-g":                            "",
		"":                                 "id is empty: write service#account",
		"orders":                           two,
		"orders#app#x":                     two,
		"#app":                             empty,
		"orders#":                          empty,
		"#":                                empty,
		"a\nb#c":                           "service and account cannot have control characters",
		"a#c\x00":                          "service and account cannot have control characters",
	} {
		got := ""
		if err := Definition().CheckRef(id); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}

func FuzzParseItem(f *testing.F) {
	for _, seed := range []string{"a#b", "", "#", "a#b#c", "a\x00#b", "ä#ö"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		i, err := parseItem(id)
		if err != nil {
			return
		}
		if i.service+"#"+i.account != id || i.service == "" || i.account == "" || strings.ContainsAny(id, "\x00\n") {
			t.Errorf("%q: %+v", id, i)
		}
	})
}

func FuzzFromUTF16(f *testing.F) {
	for _, seed := range []string{"", "a", "a\x00", "a\x00b\x00", "\x3d\xd8\x00\xde", "\x00\xd8a\x00", "\x00\x00\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if out := fromUTF16(append([]byte(nil), b...)); len(out) > len(b)*3/2 {
			t.Errorf("%d bytes of %d", len(out), len(b))
		}
	})
}

func TestFromUTF16(t *testing.T) {
	for _, text := range []string{"pässword", "p", "key 🔑 end", "密a", ""} {
		var b []byte
		for _, u := range utf16.Encode([]rune(text)) {
			b = append(b, byte(u), byte(u>>8))
		}
		if got := string(fromUTF16(b)); got != text {
			t.Errorf("UTF-16 of %q: %q", text, got)
		}
		if got := string(fromUTF16([]byte(text))); got != text {
			t.Errorf("UTF-8 of %q: %q", text, got)
		}
	}
	if got := string(fromUTF16([]byte("\x00\xd8a\x00"))); got != "\uFFFDa" {
		t.Errorf("half of a pair: %q", got)
	}
}

// fakeStore has what the systems' stores have in common.
type fakeStore struct {
	values  map[item]string
	err     error
	openErr error
}

func (f fakeStore) open(context.Context) (session, error) { return f, f.openErr }
func (fakeStore) close()                                  {}

func (f fakeStore) read(_ context.Context, i item) (secret.Value, error) {
	text, ok := f.values[i]
	if !ok {
		return secret.Value{}, f.err
	}
	return secret.Copy(text), nil
}

func TestErrorsNameTheItem(t *testing.T) {
	f := fakeStore{values: map[item]string{{"a", "b"}: "canary"}, err: errNotFound}
	k := newKeychain("kc", f)
	leases, err := k.Fetch(t.Context(), []string{"a#b", "c#d"})
	want := "provider kc: c#d: " + errNotFound.Error()
	if err == nil || err.Error() != want || len(leases) != 0 {
		t.Errorf("got %v, %d leases", err, len(leases))
	}
	f.openErr = transientError{errors.New("no bus")}
	k.store = f
	_, err = k.Fetch(t.Context(), []string{"a#b", "c#d"})
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || !e.Transient || err.Error() != "provider kc: a#b, c#d: no bus" {
		t.Errorf("got %v", err)
	}
}
