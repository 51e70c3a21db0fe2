package otlp

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// partial is an answer as OpenTelemetry's collector encodes it.
func partial(rejected int64, text string) []byte {
	inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(rejected))
	inner = protowire.AppendString(protowire.AppendTag(inner, 2, protowire.BytesType), text)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
}

func TestRejectedIn(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   uint64
	}{
		"nothing":          {"", 0},
		"no partial":       {"\x0a\x00", 0},
		"some":             {string(partial(3, "too old")), 3},
		"a remark":         {string(partial(0, "deprecated")), 0},
		"more than all":    {string(partial(1<<62, "")), 10},
		"negative":         {string(partial(-1, "")), 0},
		"fields to come":   {"\x12\x01x" + string(partial(4, "")) + "\x18\x05", 4},
		"cut off":          {string(partial(3, "too old"))[:6], 0},
		"another type":     {"\x08\x03", 0},
		"inner of bytes":   {"\x0a\x03\x0a\x01\x03", 0},
		"JSON":             {`{"partialSuccess":{"rejectedSpans":"3"}}`, 0},
		"HTML":             {"<html>", 0},
		"endless varint":   {"\x0a\x0b\x08" + strings.Repeat("\xff", 10), 0},
		"said twice":       {string(partial(5, "")) + string(partial(2, "")), 2},
		"a group for ever": {strings.Repeat("\x0b", 1000), 0},
	} {
		if got := rejectedIn([]byte(c.answer), 10); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func FuzzRejectedIn(f *testing.F) {
	f.Add(partial(3, "too old"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if n := rejectedIn(answer, 7); n > 7 {
			t.Errorf("%d of 7", n)
		}
	})
}

// What a collector takes a request without is counted and said now and then, in
// words of ours: it knows the token.
func TestPartialSuccess(t *testing.T) {
	c := newReceiver(t, httptest.NewServer)
	c.set(func(w http.ResponseWriter, r *http.Request) bool {
		rejected := int64(2)
		if r.URL.Path == "/base/v1/traces" {
			rejected = 1 << 40
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(partial(rejected, r.Header.Get("Authorization")))
		return true
	})
	e, l := exporter(t)
	to := destination(c)
	to.Interval, to.Headers, to.Credentials = time.Second, []string{"authorization"}, &tokens{values: []string{"c4nary"}}
	e.Use(to)
	for range 3 {
		_, span := e.Tracer().Connection(t.Context(), "connection")
		span.End("")
	}
	for range 2 {
		c.await(t, "/base/v1/metrics")
	}
	e.Close()
	s := e.Stats()
	if s.Failed["metrics"]+s.Failed["traces"]+s.Dropped != 0 || s.Sent["traces"] != 1 || s.Rejected["traces"] != 3 || s.Rejected["metrics"] != 2*s.Sent["metrics"] {
		t.Errorf("%+v", s)
	}
	text := l.String()
	if strings.Count(text, "rejects some") != 2 || !strings.Contains(text, "signal=traces rejected=3") || strings.Contains(text, "c4nary") {
		t.Errorf("log: %s", text)
	}
}
