package httpproxy

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"secretless/internal/connector"
)

// keeper is a writer that fails and still reads what it was given, as a stream
// of HTTP/2 does that the client has reset.
type keeper struct {
	header http.Header
	kept   []byte
}

func (k *keeper) Header() http.Header { return k.header }
func (k *keeper) WriteHeader(int)     {}
func (k *keeper) Write(p []byte) (int, error) {
	k.kept = p
	return 0, errors.New("stream closed")
}

// What could not be written is not the buffer of another client's answer.
func TestBufferOfAFailedWriteIsNotUsedAgain(t *testing.T) {
	for _, hidden := range [][]string{nil, {"opensesame-4711"}} {
		k := &keeper{header: http.Header{}}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/", nil)
		x := &exchange{
			stage: &stage{session: &connector.Session{Log: slog.New(slog.DiscardHandler)}},
			w:     k, r: r, rc: *http.NewResponseController(k),
		}
		x.respond(&http.Response{
			StatusCode: 200, Header: http.Header{"Content-Type": {"text/plain"}},
			ContentLength: 5, Body: io.NopCloser(strings.NewReader("hello")),
		}, hidden)
		if string(k.kept) != "hello" {
			t.Fatalf("%q", k.kept)
		}
		for range 10 {
			if b := buffers.Get().(*[]byte); &(*b)[0] == &k.kept[0] {
				t.Fatal("it is used again")
			}
		}
	}
}
