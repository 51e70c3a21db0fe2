package http1

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"secretless/internal/wire/http1wire"
)

const uploadBuffer = 32 << 10

var uploadBuffers = sync.Pool{New: func() any { b := make([]byte, uploadBuffer); return &b }}

// upload sends the body. It ends when that is done, when the client's body
// cannot be read on, or when the connection is closed.
func (x *trip) upload() {
	buf := uploadBuffers.Get().(*[]byte)
	defer func() {
		clear(*buf)
		uploadBuffers.Put(buf)
	}()
	read, err := x.sendBody(*buf)
	defer close(x.uploaded)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case err == nil:
		x.sent = true
		if !x.over {
			x.c.arm(x.targets.ResponseTimeout, time.Now())
		}
	case read:
		x.failed = err
		x.c.interrupt() // a target would wait for the rest
	case errors.Is(err, os.ErrDeadlineExceeded) && !x.over:
		x.stuck = err
		x.c.interrupt()
	}
	// Otherwise the target may have answered: whoever waits for that goes on.
}

var errPanicked = errors.New("reading the body panicked")

// sendBody says with the error whether it was one of reading.
func (x *trip) sendBody(buf []byte) (read bool, err error) {
	defer func() {
		if p := recover(); p != nil { // of whoever signs the body while it is read
			read, err = true, errPanicked
			if x.targets.Panicked != nil {
				x.targets.Panicked(p)
			}
		}
	}()
	chunked := x.out.Length < 0
	left := x.out.Length
	var out []byte
	for {
		n, err := x.out.Body.Read(buf)
		if n > 0 {
			data := buf[:n]
			if chunked {
				out = http1wire.AppendChunk(out[:0], data)
				data = out
			} else if left -= int64(n); left < 0 {
				return true, errLength
			}
			x.c.armWrite(x.targets.ResponseTimeout, time.Now())
			if _, werr := x.c.rw.Write(data); werr != nil {
				return false, werr
			}
		}
		switch {
		case err == io.EOF && left > 0:
			return true, io.ErrUnexpectedEOF
		case err == io.EOF && chunked:
			return x.lastChunk(out[:0])
		case err == io.EOF, !chunked && left == 0:
			return false, nil
		case err != nil:
			return true, err
		}
	}
}

var errLength = errors.New("the body is longer than was said")

// lastChunk counts a trailer that cannot be sent as one that cannot be read.
func (x *trip) lastChunk(out []byte) (read bool, err error) {
	out = append(out, "0\r\n"...)
	if out, err = http1wire.AppendFields(out, x.out.Trailer, framesRequest); err != nil {
		return true, err
	}
	x.c.armWrite(x.targets.ResponseTimeout, time.Now())
	_, err = x.c.rw.Write(append(out, "\r\n"...))
	return false, err
}

// bodySent says whether the request went out to its end.
func (x *trip) bodySent() bool {
	if !x.sending {
		return true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sent
}

// Read reads the body of the answer.
func (x *trip) Read(p []byte) (int, error) {
	if x.err != nil {
		return 0, x.err
	}
	n, err := x.read(p)
	switch {
	case err == io.EOF:
		x.err, x.resp.Trailer = io.EOF, x.chunks.Trailer()
		if x.bodySent() {
			x.release()
		}
	case err != nil:
		x.err = err
		x.drop()
	}
	return n, err
}

func (x *trip) read(p []byte) (int, error) {
	switch x.head.Length {
	case -1:
		n, err := x.chunks.Read(p)
		if err == nil && x.chunks.Ended() {
			err = io.EOF
		}
		return n, err
	case http1wire.UntilClose:
		return x.c.in.Read(p)
	}
	if int64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.c.in.Read(p)
	switch x.left -= int64(n); {
	case x.left == 0:
		return n, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// uploadGrace is how long an answer that is whole waits for who has sent the
// request to say so: the target may be faster than the scheduler.
const uploadGrace = 10 * time.Millisecond

// awaitUpload keeps the connection of a request that went out to its end.
func (x *trip) awaitUpload() {
	grace := time.NewTimer(uploadGrace)
	defer grace.Stop()
	select {
	case <-x.uploaded:
		x.release() // closes it where it cannot be kept
	case <-grace.C:
	}
}

// Close lets go of the connection. What is still to come of the answer is not
// waited for; what has come already does not keep the connection from being
// used again.
func (x *trip) Close() error {
	if x.err == io.EOF && !x.done && x.uploaded != nil {
		x.awaitUpload()
	}
	if x.err == nil && x.left > 0 && x.left <= int64(x.c.in.Len()) && !x.done {
		x.c.in.Skip(int(x.left))
		x.left, x.err = 0, io.EOF
		x.release()
	}
	x.drop()
	if !x.closed {
		x.closed = true
		x.fields.Reset()
		x.targets.fields.Put(x.fields)
	}
	return nil
}
