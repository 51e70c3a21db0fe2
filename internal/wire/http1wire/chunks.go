package http1wire

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// Chunks is the body of a message in chunks, decoded.
type Chunks struct {
	in      *Input
	left    int64 // of the chunk
	behind  bool  // a chunk's data is read, its line end is not
	err     error // io.EOF at the end
	trailer Fields
}

const (
	maxChunkLine    = 1 << 10
	maxTrailer      = 64 << 10
	maxTrailerLines = 256
)

// Reset begins a body that comes on in.
func (c *Chunks) Reset(in *Input) { *c = Chunks{in: in} }

// Trailer is what came behind the last chunk, nil for nothing.
func (c *Chunks) Trailer() Fields { return c.trailer }

// Read reads of the data. It is io.EOF behind the trailer, and
// io.ErrUnexpectedEOF where the connection ends before that.
func (c *Chunks) Read(p []byte) (int, error) {
	for c.left == 0 && c.err == nil {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.in.Read(p)
	if c.left -= int64(n); c.left == 0 {
		c.behind = true
	}
	if err != nil {
		c.err = unexpected(err)
	}
	if n > 0 {
		// What ends the body may be there already: the reader need not come
		// back to find that out.
		if c.left == 0 && c.err == nil && c.in.Len() > 0 {
			c.peekEnd()
		}
		return n, nil
	}
	return n, c.err
}

// peekEnd looks whether exactly the end of a body without trailer has come.
func (c *Chunks) peekEnd() {
	const end = "\r\n0\r\n\r\n"
	if b := c.in.Bytes(); len(b) >= len(end) && string(b[:len(end)]) == end {
		c.in.Skip(len(end))
		c.behind, c.err = false, io.EOF
	}
}

// Ended says whether the body has been read to its end.
func (c *Chunks) Ended() bool { return c.err == io.EOF }

// next reads up to the data of the next chunk.
func (c *Chunks) next() error {
	if c.behind {
		line, err := c.line(2)
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return malformed("a chunk is longer than it says")
		}
		c.in.Skip(2)
		c.behind = false
	}
	line, err := c.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, ok := chunkSize(line)
	if !ok {
		return malformed("a chunk's size")
	}
	c.in.Skip(len(line) + 2)
	c.left = size
	if size == 0 {
		return c.last()
	}
	return nil
}

// line waits for a line of at most so many bytes and returns it without its
// end, not taken out.
func (c *Chunks) line(most int) ([]byte, error) {
	for {
		b := c.in.Bytes()
		if i := bytes.IndexByte(b[:min(len(b), most)], '\n'); i >= 0 {
			if i == 0 || b[i-1] != '\r' {
				return nil, malformed("a line does not end in CR LF")
			}
			return b[:i-1], nil
		}
		if len(b) >= most {
			return nil, malformed("what stands around a chunk is too long")
		}
		if err := c.in.Fill(max(most, smallInput)); err != nil {
			return nil, unexpected(err)
		}
	}
}

// chunkSize reads a size and makes sure that what follows, which has no meaning
// to anybody (RFC 9112 section 7.1.1), is plain text.
func chunkSize(line []byte) (int64, bool) {
	digits := len(line)
	if i := bytes.IndexAny(line, "; \t"); i >= 0 {
		digits = i
	}
	if digits == 0 || digits > 15 || !isExtension(line[digits:]) || !IsValue(string(line[digits:])) {
		return 0, false
	}
	for _, c := range line[:digits] {
		if !isDigit(c) && !('a' <= c|0x20 && c|0x20 <= 'f') {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(line[:digits]), 16, 64)
	return n, err == nil
}

// isExtension says whether what follows a size is nothing, or begins as an
// extension does.
func isExtension(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t")
	return len(rest) == 0 || rest[0] == ';'
}

// last reads the trailer; nil never comes back.
func (c *Chunks) last() error {
	end, err := trailerEnd(c.in)
	if err != nil {
		return unexpected(err)
	}
	if end > 2 {
		var t Fields
		if err := t.lines(string(c.in.Bytes()[:end-2]), maxTrailerLines); err != nil {
			return err
		}
		for _, field := range t {
			if isFraming(field.Name) {
				return malformed("a trailer that would say where the message ends")
			}
		}
		c.trailer = t
	}
	c.in.Skip(end)
	return io.EOF
}

// trailerEnd is the length of a trailer with its empty line.
func trailerEnd(in *Input) (int, error) {
	for {
		if b := in.Bytes(); len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
			return 2, nil
		} else if len(b) >= 2 {
			return Head(in, Limits{Bytes: maxTrailer}, func([]byte) error { return nil })
		}
		if err := in.Fill(maxTrailer); err != nil {
			return 0, err
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
