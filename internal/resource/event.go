package resource

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"secretless/internal/kubeapi"
)

// maxEvent bounds an event. A resource has at most some 1.5 MiB in etcd.
const maxEvent = 4 << 20

// event is one line of a watch.
type event struct {
	kind    string // ADDED, MODIFIED, DELETED or BOOKMARK
	object  *Object
	version string // where the watch would go on
}

// errExpired says that the server does not know any more what has happened since
// the version that was asked for.
var errExpired = errors.New("the API server has forgotten the version that was asked for")

// events reads the lines of a watch.
type events struct {
	lines           *bufio.Scanner
	namespace, name string
	rest            int // bytes behind the last line
}

func newEvents(r io.Reader, namespace, name string) *events {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 16<<10), maxEvent)
	e := &events{lines: lines, namespace: namespace, name: name}
	lines.Split(e.split)
	return e
}

// split makes lines of what has an end: one that broke off is sent again.
func (e *events) split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF {
		e.rest = len(data)
	}
	return 0, nil, nil
}

// next is the next event; io.EOF is the watch's end in order.
func (e *events) next() (event, error) {
	for e.lines.Scan() {
		if line := e.lines.Bytes(); len(line) > 0 {
			return parseEvent(line, e.namespace, e.name)
		}
	}
	switch err := e.lines.Err(); {
	case err == nil && e.rest > 0:
		return event{}, errNoObject
	case err == nil:
		return event{}, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return event{}, kubeapi.TooLargeError{Limit: maxEvent}
	default:
		return event{}, brokenError{err}
	}
}

// brokenError is of the connection, and may quote what came.
type brokenError struct{ error }

// parseEvent reads a line. The JSON library's errors are dropped: they may
// quote it.
func parseEvent(line []byte, namespace, name string) (event, error) {
	var wire struct {
		Type   string     `json:"type"`
		Object wireObject `json:"object"`
	}
	if json.Unmarshal(line, &wire) != nil {
		return event{}, errNoObject
	}
	switch wire.Type {
	case "ADDED", "MODIFIED", "DELETED":
		o, err := wire.Object.object(namespace, name)
		if err != nil {
			return event{}, err
		}
		return event{wire.Type, o, o.ResourceVersion}, nil
	case "BOOKMARK":
		if v := wire.Object.Metadata.ResourceVersion; v != "" {
			return event{kind: wire.Type, version: v}, nil
		}
	case "ERROR":
		if wire.Object.Code == http.StatusGone {
			return event{}, errExpired
		}
		return event{}, kubeapi.StatusError(wire.Object.Code)
	}
	return event{}, errNoObject
}
