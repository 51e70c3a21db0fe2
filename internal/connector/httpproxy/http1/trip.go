package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/connector/httpproxy/origin"
	"secretless/internal/wire/http1wire"
)

// trip is one request on a connection, and its answer's body.
type trip struct {
	targets *Targets
	ctx     context.Context
	c       *targetConn
	to      origin.Origin
	out     *message.Request
	inform  message.Inform

	aborter  *aborter
	unwatch  func() bool // where there is no aborter
	head     http1wire.Response
	resp     message.Response
	left     int64
	chunks   http1wire.Chunks
	heard    bool // something of an answer has come
	interims int
	done     bool // the connection is somebody else's, or closed
	err      error
	closed   bool
	fields   *http1wire.Fields // room for those of the answer, to be used again

	sending  bool          // there is a body
	uploaded chan struct{} // closed when upload has ended; nil before it begins

	mu     sync.Mutex // guards what follows
	sent   bool       // the whole body went out
	over   bool       // the head of the answer has come
	failed error      // of reading the client's body
	stuck  error      // of sending it to a target that takes nothing
}

// MaxInterim bounds the interim answers to one request.
const MaxInterim = 64

// ErrTooManyInterim is a target that never comes to its answer.
var ErrTooManyInterim = errors.New("too many interim answers")

// run sends the request and waits for the head of its answer.
func (x *trip) run() (*message.Response, error) {
	x.sending = x.out.HasBody()
	if err := x.c.appendHead(x.to, x.out); err != nil {
		clear(x.c.out)
		x.drop()
		return nil, err
	}
	x.aborter, x.unwatch = whenEnded(x.ctx, x.c.interrupt)
	if err := x.exchange(); err != nil {
		x.drop()
		return nil, x.why(err)
	}
	x.answer()
	return &x.resp, nil
}

// why prefers the reason for which the connection was given up.
func (x *trip) why(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failed != nil {
		return fmt.Errorf("reading the request's body: %w", x.failed)
	}
	if ended := x.ctx.Err(); ended != nil {
		return ended
	}
	if x.stuck != nil {
		return fmt.Errorf("the target takes no more of the request's body: %w", x.stuck)
	}
	return err
}

func (x *trip) exchange() error {
	now := time.Now()
	x.c.armWrite(x.targets.ResponseTimeout, now)
	if err := x.c.send(); err != nil {
		return err
	}
	if x.sending {
		if err := x.startBody(); err != nil {
			return err
		}
	} else {
		x.c.arm(x.targets.ResponseTimeout, now)
	}
	for x.head.Code == 0 { // or else startBody has read it
		if err := x.readHead(); err != nil {
			return err
		}
	}
	return nil
}

// startBody sends the body in a goroutine of its own, because the target may
// answer before it has all of it. Where the client waits to be asked, so does
// it.
func (x *trip) startBody() error {
	if strings.EqualFold(x.out.Fields.Get("Expect"), "100-continue") {
		x.c.exactly(x.targets.ContinueTimeout)
		for code := 0; code != http.StatusContinue; {
			err := x.readInterim(&code)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded) && x.ctx.Err() == nil:
				code = http.StatusContinue
			case err != nil:
				return err
			case x.head.Code != 0:
				return nil // it does not want the body
			}
		}
	}
	x.c.disarm()
	x.uploaded = make(chan struct{})
	x.targets.uploads.Go(x.upload)
	return nil
}

// readHead reads one head; interim ones are passed on, and leave no code.
func (x *trip) readHead() error {
	var interim int
	return x.readInterim(&interim)
}

func (x *trip) readInterim(interim *int) error {
	n, err := http1wire.Head(x.c.in, x.targets.Limits, http1wire.BeginsAnswer)
	x.heard = x.heard || x.c.in.Len() > 0
	if err != nil {
		if err == io.EOF && x.heard {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if x.fields == nil {
		x.fields = x.targets.room()
	}
	x.head.Fields = *x.fields
	err = x.head.Parse(x.c.in.Bytes()[:n], x.out.Method, x.targets.Limits)
	*x.fields = x.head.Fields
	x.c.in.Skip(n)
	if err != nil {
		x.head.Code = 0
		return err
	}
	if x.head.Code >= 200 || x.head.Code == http.StatusSwitchingProtocols {
		return nil
	}
	*interim, x.head.Code = x.head.Code, 0
	if x.interims++; x.interims > MaxInterim {
		return ErrTooManyInterim
	}
	if x.inform != nil {
		return x.inform(*interim, &x.head.Fields)
	}
	return nil
}

// answer makes the Response of the head.
func (x *trip) answer() {
	h := &x.head
	x.resp = message.Response{Code: h.Code, Fields: h.Fields, Length: max(h.Length, -1), Announced: h.Announced}
	x.left = h.Length
	x.mu.Lock()
	x.over = true
	x.mu.Unlock()
	switch {
	case h.Code == http.StatusSwitchingProtocols:
		x.done = true
		x.stopWatching()
		x.c.disarm()
		x.c.armWrite(0, time.Time{})
		x.resp.Body = &switched{x.c}
	case h.Length == 0 && x.bodySent():
		x.err = io.EOF
		x.release()
		x.resp.Body = x
	case h.Length == 0:
		x.err = io.EOF
		x.resp.Body = x // Close gives up what is still being sent
	default:
		if h.Length < 0 || h.Length > int64(x.c.in.Len()) {
			x.c.disarm()
		}
		if h.Length == -1 {
			x.chunks.Reset(x.c.in)
		}
		x.resp.Body = x
	}
}

// again says whether a request that has failed with err may be sent once more:
// it was sent on a connection that the target may have been closing, none of it
// was answered, and it does not hurt twice. A target that takes its time may
// still be at it.
func (x *trip) again(err error) bool {
	if !x.c.used || x.heard || x.sending || errors.Is(err, os.ErrDeadlineExceeded) || x.ctx.Err() != nil {
		return false
	}
	switch x.out.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// stopWatching says whether the connection was not interrupted.
func (x *trip) stopWatching() bool {
	switch {
	case x.aborter != nil:
		return x.aborter.clear()
	case x.unwatch != nil:
		return x.unwatch()
	}
	return true
}

// drop gives the connection up.
func (x *trip) drop() {
	if !x.done {
		x.done = true
		x.stopWatching()
		x.c.close()
	}
}

// release keeps the connection where both messages on it are over.
func (x *trip) release() {
	if x.done {
		return
	}
	x.done = true
	if !x.stopWatching() || x.head.Close || x.head.Length == http1wire.UntilClose || x.out.Close || !x.bodySent() || x.c.in.Len() > 0 {
		x.c.close()
		return
	}
	x.c.in.Shrink()
	x.targets.put(x.to, x.c, time.Now())
}

// switched is a connection that speaks something else from now on.
type switched struct{ c *targetConn }

// Read reads what came behind the answer first.
func (s *switched) Read(p []byte) (int, error) { return s.c.in.Read(p) }

// Write writes to the target.
func (s *switched) Write(p []byte) (int, error) { return s.c.rw.Write(p) }

// Close closes the connection.
func (s *switched) Close() error { return s.c.nc.Close() }

// CloseWrite ends what is sent to the target.
func (s *switched) CloseWrite() error {
	if half, ok := s.c.nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
