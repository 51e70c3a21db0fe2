package httpproxy

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"secretless/internal/connector"
	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// keeper is a writer that fails and still reads what it was given, as a stream
// of HTTP/2 does that the client has reset.
type keeper struct {
	message.Writer
	kept []byte
}

func (*keeper) WriteHead(int, http1wire.Fields)  {}
func (*keeper) SetWriteDeadline(time.Time) error { return nil }

func (k *keeper) Write(p []byte) (int, error) {
	k.kept = p
	return 0, errors.New("stream closed")
}

// What could not be written is not the buffer of another client's answer.
func TestBufferOfAFailedWriteIsNotUsedAgain(t *testing.T) {
	for _, hidden := range [][]string{nil, {"opensesame-4711"}} {
		k := &keeper{}
		x := &exchange{
			connector: &Connector{}, stage: &stage{session: &connector.Session{Log: slog.New(slog.DiscardHandler)}},
			w: k, r: &message.Request{Method: http.MethodGet, Major: 1},
		}
		x.respond(&message.Response{
			Code: 200, Fields: http1wire.Fields{{Name: "Content-Type", Value: "text/plain"}},
			Length: 5, Body: io.NopCloser(strings.NewReader("hello")),
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

// What a library says of an answer that breaks off may quote the target, for
// instance the words of a GOAWAY, and is not logged.
func TestErrorsOfBodiesAreNotQuoted(t *testing.T) {
	var log bytes.Buffer
	x := &exchange{
		connector: &Connector{}, w: &keeper{}, r: &message.Request{Method: http.MethodGet, Major: 1},
		stage: &stage{session: &connector.Session{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}},
	}
	x.respond(&message.Response{
		Code: 200, Length: 5,
		Body: io.NopCloser(iotest.ErrReader(errors.New(`http2: server sent GOAWAY and closed the connection; debug="opensesame-4711"`))),
	}, nil)
	if !strings.Contains(log.String(), "answer broken off") || strings.Contains(log.String(), "opensesame") {
		t.Error(log.String())
	}
}
