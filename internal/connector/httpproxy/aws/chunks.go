package aws

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// maxChunk bounds a chunk, which is in memory while it is signed. AWS's
	// own clients send 64 KiB to 1 MiB.
	maxChunk = 4 << 20
	// maxLine bounds the line before a chunk, and each line of the trailer.
	maxLine = 16 << 10
	// maxTrailer bounds the lines of the trailer.
	maxTrailer = 32
)

const trailerSignature = "x-amz-trailer-signature"

// chunks signs the chunks of a body anew (aws-chunked, "Signature calculations:
// transferring a payload in multiple chunks"). Each signature covers the one
// before it, beginning with that of the headers. Sizes do not change.
type chunks struct {
	trailer bool // signed lines follow the last chunk

	key             []byte
	date, scope     string
	previous        string // signature
	from            *bufio.Reader
	data            []byte       // of one chunk
	ready           bytes.Buffer // to be read
	last, readTotal bool
	err             error
}

// begin derives the signing key (SigV4, step 3).
func (c *chunks) begin(of *claim, secretKey, seed string) {
	key := []byte("AWS4" + secretKey)
	for part := range strings.SplitSeq(of.scope(), "/") {
		key = sum(key, part)
	}
	c.key, c.previous = key, seed
	c.date, c.scope = of.date.Format(dateLayout), of.scope()
}

func sum(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// over reads the body from here on.
func (c *chunks) over(body io.Reader) io.Reader {
	c.from = bufio.NewReaderSize(body, 64<<10)
	return c
}

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	for c.ready.Len() == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.ready.Reset()
		if c.err = c.next(); c.err != nil {
			c.ready.Reset()
			c.forget()
		}
	}
	return c.ready.Read(p)
}

// next makes one chunk ready; after the last one and the trailer it returns
// io.EOF.
func (c *chunks) next() error {
	if c.last {
		return c.end()
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	size, err := parseChunk(line)
	if err != nil {
		return err
	}
	if cap(c.data) < size {
		c.data = make([]byte, size)
	}
	c.data = c.data[:size]
	if _, err := io.ReadFull(c.from, c.data); err != nil {
		return unexpected(err)
	}
	signature := c.signature("AWS4-HMAC-SHA256-PAYLOAD", emptyHash, hashHex(c.data))
	fmt.Fprintf(&c.ready, "%s;chunk-signature=%s\r\n", strings.ToLower(line[:strings.IndexByte(line, ';')]), signature)
	c.last = size == 0
	if c.last {
		return nil // what follows is the trailer's or the last line break
	}
	c.ready.Write(c.data)
	return c.lineBreak()
}

// end is what follows the last chunk.
func (c *chunks) end() error {
	if c.readTotal {
		if _, err := c.from.ReadByte(); !errors.Is(err, io.EOF) {
			if err == nil {
				return errors.New("aws: the body goes on after its last chunk")
			}
			return err
		}
		return io.EOF
	}
	c.readTotal = true
	if !c.trailer {
		return c.lineBreak()
	}
	return c.signTrailer()
}

// signTrailer passes the lines on and signs them.
func (c *chunks) signTrailer() error {
	var covered strings.Builder
	signed := false
	for i := range maxTrailer {
		line, err := c.line()
		switch {
		case signed && errors.Is(err, io.ErrUnexpectedEOF):
			return nil // some clients leave the last, empty line out
		case err != nil:
			return err
		case line == "" && i == 0: // and some write one before the first
			c.ready.WriteString("\r\n")
			continue
		case line == "" && !signed:
			return errors.New("aws: the trailer has no " + trailerSignature)
		case line == "":
			c.ready.WriteString("\r\n")
			return nil
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !ok || signed:
			return errors.New("aws: the trailer is malformed")
		case name == trailerSignature:
			signed = true
			line = trailerSignature + ":" + c.signature("AWS4-HMAC-SHA256-TRAILER", hashHex([]byte(covered.String())))
		default:
			covered.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
		}
		c.ready.WriteString(line + "\r\n")
	}
	return errors.New("aws: the trailer has too many lines")
}

// signature covers hashes and the signature before it, and becomes that.
func (c *chunks) signature(algorithm string, hashes ...string) string {
	text := strings.Join(append([]string{algorithm, c.date, c.scope, c.previous}, hashes...), "\n")
	c.previous = hex.EncodeToString(sum(c.key, text))
	return c.previous
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func hashHex(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// parseChunk reads "size;chunk-signature=hex".
func parseChunk(line string) (int, error) {
	digits, extension, _ := strings.Cut(line, ";")
	name, signature, _ := strings.Cut(extension, "=")
	size, err := strconv.ParseUint(digits, 16, 32)
	switch {
	case err != nil || name != "chunk-signature" || len(signature) != 2*sha256.Size || digits[0] == '+':
		return 0, errors.New("aws: a chunk of the body does not begin with its size and signature")
	case size > maxChunk:
		return 0, fmt.Errorf("aws: a chunk of the body has more than %d MiB; let the client send smaller chunks", maxChunk>>20)
	}
	return int(size), nil
}

// line reads up to a line break, which it takes away.
func (c *chunks) line() (string, error) {
	var line []byte
	for {
		part, err := c.from.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return "", errors.New("aws: a line in the body is too long")
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return "", unexpected(err)
		}
		text, ok := strings.CutSuffix(string(line), "\r\n")
		if !ok {
			return "", errors.New("aws: a line in the body does not end with CR LF")
		}
		return text, nil
	}
}

func (c *chunks) lineBreak() error {
	var two [2]byte
	if _, err := io.ReadFull(c.from, two[:]); err != nil {
		return unexpected(err)
	}
	if two != [2]byte{'\r', '\n'} {
		return errors.New("aws: a chunk of the body is not as long as it says")
	}
	c.ready.WriteString("\r\n")
	return nil
}

// forget wipes the key when the body has ended.
func (c *chunks) forget() {
	clear(c.key)
	c.data = nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
