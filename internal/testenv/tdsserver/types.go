package tdsserver

import (
	"encoding/binary"
	"fmt"
)

// Data types, [MS-TDS] 2.2.5.4.
const (
	typeNull           = 0x1F
	typeInt1           = 0x30
	typeBit            = 0x32
	typeInt2           = 0x34
	typeInt4           = 0x38
	typeDateTim4       = 0x3A
	typeFlt4           = 0x3B
	typeMoney          = 0x3C
	typeDateTime       = 0x3D
	typeFlt8           = 0x3E
	typeMoney4         = 0x7A
	typeInt8           = 0x7F
	typeGUID           = 0x24
	typeIntN           = 0x26
	typeDateN          = 0x28
	typeTimeN          = 0x29
	typeDateTime2N     = 0x2A
	typeDateTimeOffset = 0x2B
	typeBitN           = 0x68
	typeDecimalN       = 0x6A
	typeNumericN       = 0x6C
	typeFltN           = 0x6D
	typeMoneyN         = 0x6E
	typeDateTimeN      = 0x6F
	typeVarBinary      = 0x25
	typeVarChar        = 0x27
	typeBigVarBinary   = 0xA5
	typeBigVarChar     = 0xA7
	typeBigBinary      = 0xAD
	typeBigChar        = 0xAF
	typeNVarChar       = 0xE7
	typeNChar          = 0xEF
	typeText           = 0x23
	typeImage          = 0x22
	typeNText          = 0x63
	typeXML            = 0xF1
)

// sizeMax stands for (max): the value travels in chunks.
const sizeMax = 0xFFFF

// chunkNull and chunkUnknown are lengths of a value in chunks, [MS-TDS]
// 2.2.5.2.3: none, and one that is not said beforehand.
const (
	chunkNull    = 0xFFFFFFFFFFFFFFFF
	chunkUnknown = 0xFFFFFFFFFFFFFFFE
)

// typeInfo is TYPE_INFO, [MS-TDS] 2.2.5.6.
type typeInfo struct {
	id               byte
	size             int // bytes; sizeMax for values in chunks
	precision, scale byte
	collation        [5]byte
}

// fixedSizes are the types whose values have no length of their own.
var fixedSizes = map[byte]int{
	typeNull: 0, typeInt1: 1, typeBit: 1, typeInt2: 2, typeInt4: 4, typeInt8: 8, typeFlt4: 4, typeFlt8: 8,
	typeDateTim4: 4, typeDateTime: 8, typeMoney4: 4, typeMoney: 8,
}

// nullable are the types that stand for a fixed one where NULL may occur.
var nullable = map[byte]byte{
	typeInt1: typeIntN, typeInt2: typeIntN, typeInt4: typeIntN, typeInt8: typeIntN, typeBit: typeBitN,
	typeFlt4: typeFltN, typeFlt8: typeFltN, typeDateTim4: typeDateTimeN, typeDateTime: typeDateTimeN,
	typeMoney4: typeMoneyN, typeMoney: typeMoneyN, typeNull: typeIntN,
}

// form is how a type and its values are laid out.
type form int

const (
	formUnknown  form = iota
	formByteSize      // one byte of length, in the type and before a value
	formDecimal       // as formByteSize, with precision and scale in the type
	formDate          // nothing in the type, one byte before a value
	formScale         // a scale in the type, one byte of length before a value
	formBinary        // two bytes of length, or chunks
	formChar          // as formBinary, with a collation in the type
	formLong          // four bytes of length
	formLongChar      // as formLong, with a collation in the type
	formXML           // chunks, with a mark for a schema in the type
)

var forms = map[byte]form{
	typeGUID: formByteSize, typeIntN: formByteSize, typeBitN: formByteSize, typeFltN: formByteSize,
	typeMoneyN: formByteSize, typeDateTimeN: formByteSize, typeVarBinary: formByteSize, typeVarChar: formByteSize,
	typeDecimalN: formDecimal, typeNumericN: formDecimal,
	typeDateN: formDate, typeTimeN: formScale, typeDateTime2N: formScale, typeDateTimeOffset: formScale,
	typeBigVarBinary: formBinary, typeBigBinary: formBinary,
	typeBigVarChar: formChar, typeBigChar: formChar, typeNVarChar: formChar, typeNChar: formChar,
	typeImage: formLong, typeText: formLongChar, typeNText: formLongChar, typeXML: formXML,
}

// unsupportedType is a parameter that this server cannot take.
type unsupportedType byte

func (u unsupportedType) Error() string {
	return fmt.Sprintf("data type 0x%02X is not supported", byte(u))
}

func (c *cursor) typeInfo() typeInfo {
	t := typeInfo{id: c.uint8()}
	if size, ok := fixedSizes[t.id]; ok {
		return typeInfo{id: nullable[t.id], size: max(size, 1)}
	}
	switch forms[t.id] {
	case formByteSize:
		t.size = int(c.uint8())
	case formDecimal:
		t.size, t.precision, t.scale = int(c.uint8()), c.uint8(), c.uint8()
	case formDate:
		t.size = 3
	case formScale:
		t.scale = c.uint8()
	case formBinary:
		t.size = int(c.uint16())
	case formChar:
		t.size = int(c.uint16())
		copy(t.collation[:], c.bytes(5))
	case formLong:
		t.size = int(c.uint32())
	case formLongChar:
		t.size = int(c.uint32())
		copy(t.collation[:], c.bytes(5))
	case formXML:
		t.size = sizeMax
		if c.uint8() != 0 {
			c.fail(unsupportedType(t.id))
		}
	default:
		c.fail(unsupportedType(t.id))
	}
	return t
}

// parameter reads TYPE_INFO and a value of it. Types of fixed size become
// their nullable form, and the long types of old the ones with chunks.
func (c *cursor) parameter() value {
	if len(c.data) > 0 {
		if size, ok := fixedSizes[c.data[0]]; ok {
			t := c.typeInfo()
			return value{typ: t, data: c.bytes(size), null: size == 0}
		}
	}
	t := c.typeInfo()
	v := value{typ: t}
	switch f := forms[t.id]; {
	case t.size == sizeMax && (f == formBinary || f == formChar || f == formXML):
		v.data, v.null = c.chunks()
	case f == formBinary || f == formChar:
		n := int(c.uint16())
		if v.null = n == 0xFFFF; !v.null {
			v.data = c.bytes(n)
		}
	case f == formLong || f == formLongChar:
		n := c.uint32()
		if v.null = n == 0xFFFFFFFF; !v.null {
			v.data = c.bytes(int(n))
		}
		v.typ = t.withoutPointer()
	default:
		n := int(c.uint8())
		if v.null = n == 0; !v.null {
			v.data = c.bytes(n)
		}
		if t.id == typeVarChar || t.id == typeVarBinary {
			v.null = false
		}
	}
	return v
}

func (t typeInfo) withoutPointer() typeInfo {
	id := map[byte]byte{typeText: typeBigVarChar, typeNText: typeNVarChar, typeImage: typeBigVarBinary}[t.id]
	return typeInfo{id: id, size: sizeMax, collation: t.collation}
}

func (c *cursor) chunks() (data []byte, null bool) {
	if c.uint64() == chunkNull {
		return nil, true
	}
	for c.err == nil {
		n := c.uint32()
		if n == 0 {
			break
		}
		data = append(data, c.bytes(int(n))...)
	}
	return data, false
}

func (t typeInfo) appendTo(b []byte) []byte {
	b = append(b, t.id)
	switch forms[t.id] {
	case formByteSize:
		b = append(b, byte(t.size))
	case formDecimal:
		b = append(b, byte(t.size), t.precision, t.scale)
	case formScale:
		b = append(b, t.scale)
	case formBinary:
		b = binary.LittleEndian.AppendUint16(b, uint16(t.size))
	case formChar:
		b = binary.LittleEndian.AppendUint16(b, uint16(t.size))
		b = append(b, t.collation[:]...)
	case formXML:
		b = append(b, 0)
	}
	return b
}

func (v value) appendTo(b []byte) []byte {
	f := forms[v.typ.id]
	switch {
	case f == formUnknown: // fixed
		return append(b, v.data...)
	case v.typ.size == sizeMax && (f == formBinary || f == formChar || f == formXML):
		if v.null {
			return binary.LittleEndian.AppendUint64(b, chunkNull)
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(len(v.data)))
		for rest := v.data; len(rest) > 0; {
			n := min(len(rest), maxChunk)
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
			b = append(b, rest[:n]...)
			rest = rest[n:]
		}
		return binary.LittleEndian.AppendUint32(b, 0)
	case f == formBinary || f == formChar:
		if v.null {
			return binary.LittleEndian.AppendUint16(b, 0xFFFF)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(len(v.data)))
	case v.null:
		return append(b, 0)
	default:
		b = append(b, byte(len(v.data)))
	}
	return append(b, v.data...)
}

// maxChunk is how much of a value one chunk carries.
const maxChunk = 1 << 16
