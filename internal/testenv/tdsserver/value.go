package tdsserver

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// value is one SQL value as it travels: the type, and the bytes that follow
// the length.
type value struct {
	typ  typeInfo
	data []byte
	null bool
}

// collation is SQL_Latin1_General_CP1_CI_AS, the default of an English server.
var collation = [5]byte{0x09, 0x04, 0xD0, 0x00, 0x34}

func intValue(n int64) value { return sizedInt(n, 4) }

func sizedInt(n int64, size int) value {
	b := binary.LittleEndian.AppendUint64(nil, uint64(n))
	return value{typ: typeInfo{id: typeIntN, size: size}, data: b[:size]}
}

func nullValue() value { return value{typ: typeInfo{id: typeIntN, size: 4}, null: true} }

// text is nvarchar as wide as it must be.
func text(s string) value {
	b := encodeUTF16(s)
	size := max(len(b), 2)
	if size > 8000 {
		size = sizeMax
	}
	return value{typ: typeInfo{id: typeNVarChar, size: size, collation: collation}, data: b}
}

// ansiText is varchar in the code page of the collation, as far as that is
// Latin-1.
func ansiText(s string) value {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xFF {
			r = '?'
		}
		b = append(b, byte(r))
	}
	size := max(len(b), 1)
	if size > 8000 {
		size = sizeMax
	}
	return value{typ: typeInfo{id: typeBigVarChar, size: size, collation: collation}, data: b}
}

func binaryValue(b []byte) value {
	size := max(len(b), 1)
	if size > 8000 {
		size = sizeMax
	}
	return value{typ: typeInfo{id: typeBigVarBinary, size: size}, data: b}
}

func floatValue(f float64) value {
	return value{
		typ: typeInfo{id: typeFltN, size: 8}, data: binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)),
	}
}

func bitValue(on bool) value {
	v := value{typ: typeInfo{id: typeBitN, size: 1}, data: []byte{0}}
	if on {
		v.data[0] = 1
	}
	return v
}

// decimalValue is a number such as -12.50, with the precision and scale that
// it is written with or the given ones.
func decimalValue(s string, precision, scale int) (value, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return value{}, sqlError{8114, 16, 5, "Error converting data type varchar to numeric."}
	}
	if precision == 0 {
		whole, fraction, _ := strings.Cut(strings.TrimLeft(s, "+-"), ".")
		precision, scale = max(len(whole)+len(fraction), 1), len(fraction)
	}
	digits := strings.Replace(r.FloatString(scale), ".", "", 1)
	n, _ := new(big.Int).SetString(digits, 10)
	size := decimalSize(precision)
	sign := byte(1)
	if n.Sign() < 0 {
		sign = 0
	}
	magnitude := new(big.Int).Abs(n).Bytes()
	if len(magnitude) > size-1 || precision > 38 {
		return value{}, sqlError{8115, 16, 8, "Arithmetic overflow error converting numeric to data type numeric."}
	}
	slices.Reverse(magnitude)
	data := make([]byte, size)
	data[0] = sign
	copy(data[1:], magnitude)
	typ := typeInfo{id: typeNumericN, size: size, precision: byte(precision), scale: byte(scale)}
	return value{typ: typ, data: data}, nil
}

// decimalSize is how many bytes a number of that precision has, its sign
// included: [MS-TDS] 2.2.5.5.1.6.
func decimalSize(precision int) int {
	switch {
	case precision <= 9:
		return 5
	case precision <= 19:
		return 9
	case precision <= 28:
		return 13
	}
	return 17
}

// isInt says whether v is one of the integers, bit among them.
func (v value) isInt() bool { return v.typ.id == typeIntN || v.typ.id == typeBitN }

func (v value) isUnicode() bool {
	return v.typ.id == typeNVarChar || v.typ.id == typeNChar || v.typ.id == typeXML
}

func (v value) isBinary() bool {
	return v.typ.id == typeBigVarBinary || v.typ.id == typeBigBinary || v.typ.id == typeVarBinary
}

// number is v as an integer; text counts if it is one.
func (v value) number() (int64, error) {
	if v.isInt() {
		switch len(v.data) {
		case 1: // tinyint and bit know no sign
			return int64(v.data[0]), nil
		case 2:
			return int64(int16(binary.LittleEndian.Uint16(v.data))), nil
		case 4:
			return int64(int32(binary.LittleEndian.Uint32(v.data))), nil
		case 8:
			return int64(binary.LittleEndian.Uint64(v.data)), nil
		}
	}
	if v.isBinary() && len(v.data) <= 8 {
		return int64(binary.BigEndian.Uint64(append(make([]byte, 8-len(v.data)), v.data...))), nil
	}
	s := v.text()
	if whole, fraction, found := strings.Cut(s, "."); found && strings.Trim(fraction, "0123456789") == "" && !v.isChar() {
		s = whole
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0, sqlError{245, 16, 1, fmt.Sprintf("Conversion failed when converting the varchar value '%s' to data type int.", s)}
	}
	return n, nil
}

func (v value) isChar() bool {
	return v.isUnicode() || v.typ.id == typeBigVarChar || v.typ.id == typeBigChar || v.typ.id == typeVarChar
}

// text is v as PRINT would show it.
func (v value) text() string {
	switch {
	case v.null:
		return ""
	case v.isUnicode():
		return decodeUTF16(v.data)
	case v.isChar():
		return latin1(v.data)
	case v.isInt():
		n, _ := v.number()
		return strconv.FormatInt(n, 10)
	case v.typ.id == typeFltN && len(v.data) == 8:
		return strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(v.data)), 'g', -1, 64)
	case v.typ.id == typeFltN && len(v.data) == 4:
		return strconv.FormatFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(v.data))), 'g', -1, 32)
	case (v.typ.id == typeNumericN || v.typ.id == typeDecimalN) && len(v.data) > 1:
		return v.decimalText()
	}
	return "0x" + strings.ToUpper(hex.EncodeToString(v.data))
}

func (v value) decimalText() string {
	magnitude := slices.Clone(v.data[1:])
	slices.Reverse(magnitude)
	digits := new(big.Int).SetBytes(magnitude).String()
	if missing := int(v.typ.scale) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	if v.typ.scale > 0 {
		point := len(digits) - int(v.typ.scale)
		digits = digits[:point] + "." + digits[point:]
	}
	if v.data[0] == 0 {
		return "-" + digits
	}
	return digits
}

func latin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}
