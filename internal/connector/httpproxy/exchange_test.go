package httpproxy

import (
	"net/url"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/auth"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/secret"
	"secretless/internal/wire/http1wire"
)

// An exchange that is used again holds nothing of the last request, and one that
// somebody else may still know is not used again.
func TestExchangeIsUsedAgainEmpty(t *testing.T) {
	to, err := origin.Parse("http", "a.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*exchange)
		again  bool
	}{
		"plain":     {func(*exchange) {}, true},
		"with body": {func(x *exchange) { x.r.Length = -1 }, false},
		"HTTP/2":    {func(x *exchange) { x.r.Major = 2 }, false},
		"known":     {func(x *exchange) { x.shared = true }, false},
	} {
		st := &stage{session: &connector.Session{}}
		x := st.exchange(&message.Request{Major: 1})
		x.stage, x.served = st, connector.Served{End: func(connector.Answer) {}}
		x.r = &message.Request{Major: 1, URL: url.URL{Path: "/"}, Fields: http1wire.Fields{{Name: "Cookie", Value: "c"}}}
		out := x.outgoing()
		set := secret.NewSet(map[string]secret.Value{"token": secret.Copy("opensesame-4711")})
		r := bound{&service{}, to}.request(&x.first.auth, out, set)
		if err := r.SetHeader("Authorization", "Bearer opensesame-4711"); err != nil {
			t.Fatal(err)
		}
		x.hider.begin(r.Hidden())
		room := out.Fields[:cap(out.Fields)]
		c.change(x)
		x.end()
		next := st.exchange(&message.Request{Major: 1})
		if (next == x) != c.again {
			t.Fatalf("%s: used again: %v", name, next == x)
		}
		if !c.again {
			continue
		}
		for _, field := range room {
			if field != (http1wire.Field{}) {
				t.Errorf("%s: %q is left", name, field)
			}
		}
		if len(next.first.out.Fields) != 0 || next.first.auth.Outgoing() != nil || len(next.first.auth.Hidden()) != 0 || len(next.hider.parts) != 0 || next.attempts != 0 {
			t.Errorf("%s: %+v", name, next)
		}
		if (&auth.Request{}).To() != next.first.auth.To() || next.r != nil || next.ctx != nil {
			t.Errorf("%s: it still knows the last request", name)
		}
	}
}

// What Connection names goes with it, in every spelling, and so do the twins of
// what is never passed on. The order of the rest is the client's.
func TestPassOn(t *testing.T) {
	in := http1wire.Fields{
		{Name: "Zeta", Value: "1"},
		{Name: "Connection", Value: "X-Mine, close"},
		{Name: "X-Mine", Value: "2"},
		{Name: "X_mine", Value: "3"},
		{Name: "Proxy_authorization", Value: "4"},
		{Name: "Content_length", Value: "5"},
		{Name: "Content-Length", Value: "6"},
		{Name: "Alpha", Value: "7"},
		{Name: "Te", Value: "gzip, trailers"},
		{Name: "Connection", Value: "Upgrade"},
		{Name: "Upgrade", Value: "websocket"},
		{Name: "Zeta", Value: "8"},
	}
	var out http1wire.Fields
	if upgrade := passOn(&out, in); upgrade != "websocket" {
		t.Errorf("%q", upgrade)
	}
	got := ""
	for _, field := range out {
		got += field.Name + ":" + field.Value + " "
	}
	if want := "Zeta:1 Content-Length:6 Alpha:7 Zeta:8 Te:trailers Connection:Upgrade Upgrade:websocket "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(in) != 12 || in[11].Value != "8" {
		t.Error("the client's fields were changed")
	}
}
