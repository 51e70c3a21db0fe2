// Package sshagentwire is the agent protocol of SSH, RFC 9987, as an agent
// needs it: requests that read and sign, and OpenSSH's session-bind extension
// (PROTOCOL.agent). Requests that would change the agent have no codec.
//
// What the parsers return borrows from the message they were given.
package sshagentwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Type is a message's first byte.
type Type byte

// The types of messages that a read-only agent knows, RFC 9987 section 6.1.
const (
	Failure            Type = 5
	Success            Type = 6
	RequestIdentities  Type = 11
	IdentitiesAnswer   Type = 12
	SignRequestMessage Type = 13
	SignResponse       Type = 14
	ExtensionMessage   Type = 27
	ExtensionFailure   Type = 28
	ExtensionResponse  Type = 29
)

// MaxMessage bounds a message without its length, as in OpenSSH's agent.
const MaxMessage = 256 << 10

// firstRead is what is set aside for a message before any of it has come.
const firstRead = 4 << 10

// ErrMalformed is in the chain of every error about bytes that break the
// protocol.
var ErrMalformed = errors.New("malformed agent message")

// Message is one message: its type and what follows. It owns its bytes.
type Message struct {
	Type Type
	Body []byte
}

// ReadLength reads the length of the next message. A connection that ends
// before its first byte is io.EOF.
func ReadLength(r io.Reader) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length < 1 || length > MaxMessage {
		return 0, fmt.Errorf("%w: its length is %d, and 1 to %d are allowed", ErrMalformed, length, MaxMessage)
	}
	return int(length), nil
}

// ReadMessage reads the message of a length that ReadLength returned. Memory
// grows with what has arrived, not with what was promised.
func ReadMessage(r io.Reader, length int) (Message, error) {
	var body bytes.Buffer
	body.Grow(min(length, firstRead))
	if _, err := io.CopyN(&body, r, int64(length)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Message{}, err
	}
	b := body.Bytes()
	return Message{Type(b[0]), b[1:]}, nil
}

// Frame is a message of type t as it is sent, its body made of parts.
func Frame(t Type, parts ...[]byte) []byte {
	size := 1
	for _, p := range parts {
		size += len(p)
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+size), uint32(size))
	out = append(out, byte(t))
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
