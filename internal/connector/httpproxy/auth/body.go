package auth

import (
	"bytes"
	"errors"
	"io"
)

// DefaultBodyLimit is how much of a body an authenticator should be ready to
// hash.
const DefaultBodyLimit = 10 << 20

// ErrBodyTooLarge is a body that is longer than what must be in memory to be
// signed.
var ErrBodyTooLarge = errors.New("the request's body is too large to be signed; let the client send its hash (x-amz-content-sha256 or the like), or smaller parts")

// body is what becomes of a request's body.
type body struct {
	from   io.ReadCloser
	read   []byte
	isRead bool
}

// Body reads the whole body, for signatures that cover it, and sends what it
// has read; the result is not to be changed. A body of more than limit bytes is
// ErrBodyTooLarge; other errors are the client's connection's. The request can
// be sent again from here on.
func (r *Request) Body(limit int64) ([]byte, error) {
	if r.body.isRead || r.out.Body == nil {
		return r.body.read, nil
	}
	if r.out.Length > limit {
		return nil, ErrBodyTooLarge
	}
	all, err := io.ReadAll(io.LimitReader(r.out.Body, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(all)) > limit:
		return nil, ErrBodyTooLarge
	}
	r.body.read, r.body.isRead = all, true
	r.rewind()
	return all, nil
}

// Repeatable says whether the request can be sent again. For the proxy.
func (r *Request) Repeatable() bool { return r.body.from == nil || r.body.isRead }

// BodyRead is what Body has read, so that a second attempt has it too. For the
// proxy.
func (r *Request) BodyRead() ([]byte, bool) { return r.body.read, r.body.isRead }

func (r *Request) rewind() {
	r.out.Length = int64(len(r.body.read))
	r.out.Body = io.NopCloser(bytes.NewReader(r.body.read))
	if len(r.body.read) == 0 {
		r.out.Body = nil
	}
	r.out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.body.read)), nil }
}

// WrapBody puts a reader in front of the body while it streams, for instance
// one that signs its chunks. length is the new length, -1 where it is unknown.
// It is called for a request with a body, whose Read the proxy calls from one
// goroutine; Close of the old body is the proxy's business. After Body, which
// rewinds, it must not be called.
func (r *Request) WrapBody(wrap func(io.Reader) io.Reader, length int64) {
	if r.out.Body == nil || r.body.isRead {
		return
	}
	r.out.Body = wrapped{wrap(r.out.Body), r.out.Body}
	r.out.Length = length
}

type wrapped struct {
	io.Reader
	io.Closer
}
