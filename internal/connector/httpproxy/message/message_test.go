package message_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// filling fills a trailer when it has been read, as net/http does.
type filling struct {
	io.Reader
	trailer http.Header
}

func (f *filling) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		f.trailer["X-Sum"] = []string{"1", "2"}
	}
	return n, err
}

func (*filling) Close() error { return nil }

// A request that is read by net/http and sent by it again is the same.
func TestRequestThereAndBack(t *testing.T) {
	trailer := http.Header{"X-Sum": nil, "X-None": nil}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "https://a.example/x%2Fy?z=1", nil)
	r.Header = http.Header{"B": {"2", "3"}, "A": {"1"}}
	r.Body, r.ContentLength, r.Trailer = &filling{strings.NewReader("body"), trailer}, -1, trailer
	m := message.FromHTTP(r)
	if want := (http1wire.Fields{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "B", Value: "3"}}); !slices.Equal(m.Fields, want) {
		t.Errorf("%q", m.Fields)
	}
	if !m.HasBody() || !slices.Equal(m.Announced, []string{"X-None", "X-Sum"}) || m.Target != "https://a.example/x%2Fy?z=1" {
		t.Errorf("%+v", m)
	}
	out := m.HTTP(t.Context())
	if values, ok := out.Header["User-Agent"]; !ok || values != nil {
		t.Error("net/http names itself")
	}
	if len(out.Trailer) != 2 || out.Trailer["X-Sum"] != nil || out.URL.String() != r.URL.String() || out.Host != "a.example" || out.ContentLength != -1 {
		t.Errorf("%+v", out)
	}
	if body, err := io.ReadAll(out.Body); err != nil || string(body) != "body" || !slices.Equal(out.Trailer["X-Sum"], []string{"1", "2"}) {
		t.Errorf("%q %v %v", body, err, out.Trailer)
	}
	out.Header["A"][0] = "changed"
	out.URL.Host = "b.example"
	if m.Fields.Get("A") != "1" || m.URL.Host != "a.example" {
		t.Error("what a library gets is no copy")
	}
}

func TestRemoveTrailers(t *testing.T) {
	announced := []string{"A", "B"}
	m := &message.Request{Announced: announced, Trailer: http1wire.Fields{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}}
	m.RemoveTrailers(func(name string) bool { return name == "A" })
	if !slices.Equal(m.Announced, []string{"B"}) || len(m.Trailer) != 1 || !slices.Equal(announced, []string{"A", "B"}) {
		t.Errorf("%+v, of %q", m, announced)
	}
}

func TestResponse(t *testing.T) {
	trailer := http.Header{}
	m := message.FromResponse(&http.Response{
		StatusCode: 200, Header: http.Header{"A": {"1"}}, ContentLength: -1,
		Body: &filling{strings.NewReader("body"), trailer}, Trailer: trailer,
	})
	if body, err := io.ReadAll(m.Body); err != nil || string(body) != "body" || len(m.Announced) != 0 || !slices.Equal(m.Trailer.Values("X-Sum"), []string{"1", "2"}) {
		t.Errorf("%q %v %+v", body, err, m)
	}
	head := message.FromResponse(&http.Response{StatusCode: 200, ContentLength: 7, Body: http.NoBody})
	if head.Length != 0 {
		t.Errorf("%d bytes of an answer without a body", head.Length)
	}
}

// What a server of net/http writes is what was said, and nothing of its own.
func TestWriter(t *testing.T) {
	s := httptest.NewUnstartedServer(message.Handler(func(_ context.Context, w message.Writer, r *message.Request) {
		if _, _, err := w.Hijack(); err == nil {
			t.Error("a stream was taken over")
		}
		w.WriteHead(103, http1wire.Fields{{Name: "Link", Value: "x"}})
		w.WriteHead(200, http1wire.Fields{{Name: "Trailer", Value: "X-Sum"}, {Name: "X-Path", Value: r.URL.Path}})
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "body")
		}
		w.Trailer(http1wire.Fields{{Name: "X-Sum", Value: "1"}, {Name: "X-Late", Value: "2"}, {Name: "X-Late", Value: "3"}})
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for _, path := range []string{"/body", "/none"} {
		resp, err := s.Client().Do(&http.Request{Method: "GET", URL: parse(t, s.URL+path)})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.ProtoMajor != 2 || path == "/body" && string(body) != "body" {
			t.Errorf("%s %q %v", resp.Proto, body, err)
		}
		if len(resp.Header) != 1 || resp.Header.Get("X-Path") != path {
			t.Errorf("%s: %v", path, resp.Header)
		}
		if resp.Trailer.Get("X-Sum") != "1" || !slices.Equal(resp.Trailer["X-Late"], []string{"2", "3"}) {
			t.Errorf("%s: trailer %v", path, resp.Trailer)
		}
	}
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
