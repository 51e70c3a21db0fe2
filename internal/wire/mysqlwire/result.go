package mysqlwire

import "encoding/binary"

// OK is the fixed part of an OK packet of protocol 4.1. What follows it
// depends on the capabilities, and is passed on as it is.
type OK struct {
	AffectedRows, LastInsertID uint64
	Status, Warnings           uint16
}

// ParseOK reads the fixed part. An error wraps ErrMalformed.
func ParseOK(payload []byte) (OK, error) {
	c := &cursor{packet: "OK", rest: payload}
	if c.uint8("header") != headerOK {
		c.fail("header")
	}
	ok := OK{
		AffectedRows: c.lenenc("affected rows"), LastInsertID: c.lenenc("last insert id"),
		Status: c.uint16("status"), Warnings: c.uint16("warnings"),
	}
	return ok, c.err
}

// Append appends the packet with nothing behind its fixed part.
func (o OK) Append(dst []byte, sequence byte) []byte {
	dst, start := begin(dst)
	dst = appendLenenc(append(dst, headerOK), o.AffectedRows)
	dst = appendLenenc(dst, o.LastInsertID)
	dst = binary.LittleEndian.AppendUint16(dst, o.Status)
	return finish(binary.LittleEndian.AppendUint16(dst, o.Warnings), start, sequence)
}

// stateSize is an SQLSTATE's.
const stateSize = 5

// ERR is an error packet.
type ERR struct {
	Number uint16
	// State is the SQLSTATE, five characters, or empty: servers leave it out
	// before they know the client.
	State   string
	Message string
}

// ParseERR reads an error. An error wraps ErrMalformed.
func ParseERR(payload []byte) (ERR, error) {
	c := &cursor{packet: "ERR", rest: payload}
	if c.uint8("header") != headerERR {
		c.fail("header")
	}
	e := ERR{Number: c.uint16("number")}
	if len(c.rest) > stateSize && c.rest[0] == '#' {
		e.State = string(c.rest[1 : 1+stateSize])
		c.rest = c.rest[1+stateSize:]
	}
	e.Message = string(c.rest)
	return e, c.err
}

// Append appends the error as a packet, with its State if that has the right
// length.
func (e ERR) Append(dst []byte, sequence byte) []byte {
	dst, start := begin(dst)
	dst = binary.LittleEndian.AppendUint16(append(dst, headerERR), e.Number)
	if len(e.State) == stateSize {
		dst = append(append(dst, '#'), e.State...)
	}
	return finish(append(dst, e.Message...), start, sequence)
}
