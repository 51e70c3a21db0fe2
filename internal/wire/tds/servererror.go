package tds

import "encoding/binary"

// ServerError is an ERROR or INFO token ([MS-TDS] 2.2.7.10, 2.2.7.13).
type ServerError struct {
	Number int32
	State  byte
	// Class is the severity: 10 and below informs, 11 and above is an error,
	// 20 and above ends the connection.
	Class      byte
	Message    string
	ServerName string
	ProcName   string
	LineNumber int32
}

// ParseServerError reads the data of an ERROR or INFO token.
func ParseServerError(data []byte, wide bool) (ServerError, error) {
	c := cursor{data, true}
	e := ServerError{Number: int32(c.uint32()), State: c.byte(), Class: c.byte()}
	e.Message = c.text(int(c.uint16())).String()
	e.ServerName = c.text(int(c.byte())).String()
	e.ProcName = c.text(int(c.byte())).String()
	if wide {
		e.LineNumber = int32(c.uint32())
	} else {
		e.LineNumber = int32(c.uint16())
	}
	if !c.ok {
		return ServerError{}, cutOff(TokenError)
	}
	return e, nil
}

// Append appends the token, of type TokenError or TokenInfo, to dst. Texts
// that are too long for their field are cut.
func (e ServerError) Append(dst []byte, t TokenType, wide bool) []byte {
	data := binary.LittleEndian.AppendUint32(nil, uint32(e.Number))
	data = append(data, e.State, e.Class)
	data = appendShortText(data, e.Message)
	data = appendByteText(data, e.ServerName)
	data = appendByteText(data, e.ProcName)
	if wide {
		data = binary.LittleEndian.AppendUint32(data, uint32(e.LineNumber))
	} else {
		data = binary.LittleEndian.AppendUint16(data, uint16(e.LineNumber))
	}
	return AppendToken(dst, t, data)
}

// Bits of DONE's status ([MS-TDS] 2.2.7.6).
const (
	DoneMore      = 0x0001
	DoneError     = 0x0002
	DoneInXact    = 0x0004
	DoneCount     = 0x0010
	DoneAttention = 0x0020
)

// AppendDone appends a token of type TokenDone, TokenDoneProc or
// TokenDoneInProc to dst.
func AppendDone(dst []byte, t TokenType, status, command uint16, rows uint64, wide bool) []byte {
	dst = append(dst, byte(t))
	dst = binary.LittleEndian.AppendUint16(dst, status)
	dst = binary.LittleEndian.AppendUint16(dst, command)
	if wide {
		return binary.LittleEndian.AppendUint64(dst, rows)
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(rows))
}
