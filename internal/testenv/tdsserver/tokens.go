package tdsserver

import (
	"encoding/binary"
)

// Tokens, [MS-TDS] 2.2.7.
const (
	tokenColMetadata   = 0x81
	tokenError         = 0xAA
	tokenInfo          = 0xAB
	tokenReturnValue   = 0xAC
	tokenLoginAck      = 0xAD
	tokenFeatureExtAck = 0xAE
	tokenRow           = 0xD1
	tokenReturnStatus  = 0x79
	tokenEnvChange     = 0xE3
	tokenDone          = 0xFD
	tokenDoneProc      = 0xFE
	tokenDoneInProc    = 0xFF
)

// Bits of a DONE's status, [MS-TDS] 2.2.7.6.
const (
	doneMore      = 0x01
	doneError     = 0x02
	doneCount     = 0x10
	doneAttention = 0x20
	doneSrvError  = 0x100
)

// Types of ENVCHANGE, [MS-TDS] 2.2.7.9.
const (
	envDatabase   = 1
	envLanguage   = 2
	envPacketSize = 4
	envCollation  = 7
	envBegin      = 8
	envCommit     = 9
	envRollback   = 10
	envReset      = 18
	envRouting    = 20
)

// The versions of TDS where tokens changed their layout.
const (
	tds71 = 0x71000001
	tds72 = 0x72090002
	tds73 = 0x730B0003
	tds74 = 0x74000004
	tds80 = 0x08000000
)

// since72 says whether counters and user types have the width that they got in
// TDS 7.2.
func since72(version uint32) bool { return version >= tds72 || version == tds80 }

// token prepends a token's two-byte length.
func sizedToken(kind byte, body []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{kind}, uint16(len(body)))
	return append(b, body...)
}

func envChangeText(kind byte, now, before string) []byte {
	return sizedToken(tokenEnvChange, appendBVarchar(appendBVarchar([]byte{kind}, now), before))
}

func envChangeBytes(kind byte, now, before []byte) []byte {
	b := append([]byte{kind, byte(len(now))}, now...)
	b = append(append(b, byte(len(before))), before...)
	return sizedToken(tokenEnvChange, b)
}

// envChangeRouting sends the client elsewhere.
func envChangeRouting(host string, port uint16) []byte {
	name := encodeUTF16(host)
	var routing []byte
	routing = append(routing, 0) // TCP
	routing = binary.LittleEndian.AppendUint16(routing, port)
	routing = binary.LittleEndian.AppendUint16(routing, uint16(len(name)/2))
	routing = append(routing, name...)
	b := binary.LittleEndian.AppendUint16([]byte{envRouting}, uint16(len(routing)))
	b = append(b, routing...)
	return sizedToken(tokenEnvChange, append(b, 0, 0))
}

// maxMessage is how many characters of a message SQL Server sends.
const maxMessage = 2047

// messageToken is an ERROR or INFO.
func messageToken(kind byte, e sqlError, server string, line uint32, version uint32) []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, uint32(e.number))
	b = append(b, e.state, e.class)
	message := encodeUTF16(e.message)
	message = message[:min(len(message), 2*maxMessage)]
	b = binary.LittleEndian.AppendUint16(b, uint16(len(message)/2))
	b = append(b, message...)
	b = appendBVarchar(b, server)
	b = appendBVarchar(b, "") // procedure
	if since72(version) {
		b = binary.LittleEndian.AppendUint32(b, line)
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(line))
	}
	return sizedToken(kind, b)
}

func doneToken(kind byte, status uint16, count int64, version uint32) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{kind}, status)
	command := uint16(0)
	if status&doneCount != 0 {
		command = 0xC1 // SELECT
	}
	b = binary.LittleEndian.AppendUint16(b, command)
	if since72(version) {
		return binary.LittleEndian.AppendUint64(b, uint64(count))
	}
	return binary.LittleEndian.AppendUint32(b, uint32(count))
}

func loginAck(version uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{1}, version)
	b = appendBVarchar(b, programName)
	return sizedToken(tokenLoginAck, append(b, programVersion[:]...))
}

func userType(b []byte, version uint32) []byte {
	if since72(version) {
		return append(b, 0, 0, 0, 0)
	}
	return append(b, 0, 0)
}

// colNullable and colComputed are flags of a column, [MS-TDS] 2.2.7.4.
const (
	colNullable = 0x01
	colComputed = 0x20
)

func colMetadata(columns []column, values []value, version uint32) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{tokenColMetadata}, uint16(len(columns)))
	for i, c := range columns {
		b = userType(b, version)
		b = append(b, colNullable|colComputed, 0)
		b = values[i].typ.appendTo(b)
		b = appendBVarchar(b, c.name)
	}
	return b
}

func returnValue(ordinal int, name string, v value, version uint32) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{tokenReturnValue}, uint16(ordinal))
	b = appendBVarchar(b, name)
	b = append(b, 1) // an output parameter
	b = userType(b, version)
	b = append(b, colNullable, 0)
	return v.appendTo(v.typ.appendTo(b))
}

func returnStatus(n int32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{tokenReturnStatus}, uint32(n))
}
