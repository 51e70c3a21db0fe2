package tdsserver

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sqlType is a type as a statement names it: nvarchar(20), decimal(10,2).
type sqlType struct {
	name string
	args []int // -1 for (max)
}

func (p *parser) sqlType() (sqlType, error) {
	t := p.next()
	if t.kind != tokenWord && t.kind != tokenQuoted {
		return sqlType{}, syntaxError(t)
	}
	typ := sqlType{name: strings.ToLower(t.text)}
	if typ.name == "sys" && p.accept(".") {
		typ.name = strings.ToLower(p.next().text)
	}
	if !p.accept("(") {
		return typ, nil
	}
	for {
		t := p.next()
		n, err := strconv.Atoi(t.text)
		if t.is("max") {
			n, err = -1, nil
		}
		if err != nil || n > 8000 {
			return typ, syntaxError(t)
		}
		typ.args = append(typ.args, n)
		if !p.accept(",") {
			return typ, p.expect(")")
		}
	}
}

func (p *parser) cast() (expression, error) {
	if err := p.expect("("); err != nil {
		return expression{}, err
	}
	e, err := p.expression()
	if err != nil {
		return e, err
	}
	if err := p.expect("AS"); err != nil {
		return e, err
	}
	typ, err := p.sqlType()
	if err != nil {
		return e, err
	}
	return typ.of(e), p.expect(")")
}

func (p *parser) convert() (expression, error) {
	if err := p.expect("("); err != nil {
		return expression{}, err
	}
	typ, err := p.sqlType()
	if err != nil {
		return expression{}, err
	}
	if err := p.expect(","); err != nil {
		return expression{}, err
	}
	e, err := p.expression()
	if err == nil && p.accept(",") { // the style says nothing for these types
		_, err = p.expression()
	}
	if err != nil {
		return e, err
	}
	return typ.of(e), p.expect(")")
}

func (t sqlType) of(e expression) expression {
	return expression{constant: e.constant, eval: func(s *scope) (value, error) {
		v, err := e.eval(s)
		if err != nil {
			return v, err
		}
		return t.cast(v)
	}}
}

func (t sqlType) arg(i, absent int) int {
	if i < len(t.args) {
		return t.args[i]
	}
	return absent
}

// cast converts v, within what this server knows to convert.
func (t sqlType) cast(v value) (value, error) {
	switch t.name {
	case "bigint", "int", "smallint", "tinyint", "bit":
		return t.castInt(v)
	case "nvarchar", "nchar", "varchar", "char", "sysname", "ntext", "text":
		return t.castChar(v)
	case "varbinary", "binary", "image":
		return t.castBinary(v)
	case "float", "real":
		return t.castFloat(v)
	case "decimal", "numeric":
		if v.null {
			v, _ = decimalValue("0", t.arg(0, 18), t.arg(1, 0))
			return value{typ: v.typ, null: true}, nil
		}
		return decimalValue(v.text(), t.arg(0, 18), t.arg(1, 0))
	}
	if known, ok := otherTypes[t.name]; ok && (v.typ.id == known || v.null) {
		return t.same(v, known), nil
	}
	return value{}, sqlError{243, 16, 2, fmt.Sprintf("Type %s is not a defined system type.", t.name)}
}

// otherTypes pass from a parameter to a result as they are.
var otherTypes = map[string]byte{
	"uniqueidentifier": typeGUID, "date": typeDateN, "time": typeTimeN, "datetime2": typeDateTime2N,
	"datetimeoffset": typeDateTimeOffset, "datetime": typeDateTimeN, "smalldatetime": typeDateTimeN,
	"money": typeMoneyN, "smallmoney": typeMoneyN, "xml": typeXML,
}

func (t sqlType) same(v value, id byte) value {
	if v.typ.id == id {
		return v
	}
	size := map[byte]int{typeGUID: 16, typeDateN: 3, typeDateTimeN: 8, typeMoneyN: 8, typeXML: sizeMax}[id]
	return value{typ: typeInfo{id: id, size: size, scale: byte(t.arg(0, 7))}, null: true}
}

func (t sqlType) castInt(v value) (value, error) {
	size := map[string]int{"bigint": 8, "int": 4, "smallint": 2, "tinyint": 1, "bit": 1}[t.name]
	if v.null {
		typ := sizedInt(0, size).typ
		if t.name == "bit" {
			typ = bitValue(false).typ
		}
		return value{typ: typ, null: true}, nil
	}
	n, err := v.number()
	switch {
	case err != nil:
		return v, err
	case t.name == "bit":
		return bitValue(n != 0), nil
	case size == 1 && (n < 0 || n > 255), size > 1 && n>>(8*size-1) != 0 && n>>(8*size-1) != -1:
		return v, sqlError{8115, 16, 2, fmt.Sprintf("Arithmetic overflow error converting expression to data type %s.", t.name)}
	}
	return sizedInt(n, size), nil
}

func (t sqlType) castChar(v value) (value, error) {
	unicode := strings.HasPrefix(t.name, "n") || t.name == "sysname"
	width := t.arg(0, 30)
	s := v.text()
	if v.isBinary() && !v.null {
		s = latin1(v.data)
		if unicode {
			s = decodeUTF16(v.data)
		}
	}
	made := ansiText(s)
	if unicode {
		made = text(s)
		width *= 2
	}
	if width < 0 || t.name == "ntext" || t.name == "text" {
		made.typ.size = sizeMax
	} else {
		made.data, made.typ.size = made.data[:min(len(made.data), width)], width
	}
	if t.name == "char" || t.name == "nchar" {
		made.typ.id = map[bool]byte{true: typeNChar, false: typeBigChar}[unicode]
		made.data = append(made.data, ansiOrUnicode(unicode, strings.Repeat(" ", width-len(made.data)))[:width-len(made.data)]...)
	}
	made.null = v.null
	return made, nil
}

func ansiOrUnicode(unicode bool, s string) []byte {
	if unicode {
		return encodeUTF16(s)
	}
	return []byte(s)
}

func (t sqlType) castBinary(v value) (value, error) {
	width := t.arg(0, 30)
	made := binaryValue(v.data)
	made.null = v.null
	if v.isInt() && !v.null { // integers are shown from their highest byte on
		n, _ := v.number()
		made.data = binary.BigEndian.AppendUint64(nil, uint64(n))[8-len(v.data):]
	}
	if width < 0 || t.name == "image" {
		made.typ.size = sizeMax
		return made, nil
	}
	made.data, made.typ.size = made.data[:min(len(made.data), width)], width
	if t.name == "binary" {
		made.typ.id = typeBigBinary
		made.data = append(made.data[:len(made.data):len(made.data)], make([]byte, width-len(made.data))...)
	}
	return made, nil
}

func (t sqlType) castFloat(v value) (value, error) {
	size := 8
	if t.name == "real" || t.arg(0, 53) <= 24 {
		size = 4
	}
	typ := typeInfo{id: typeFltN, size: size}
	if v.null {
		return value{typ: typ, null: true}, nil
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(v.text()), 64)
	if err != nil {
		return v, sqlError{8114, 16, 5, "Error converting data type varchar to float."}
	}
	if size == 4 {
		return value{typ: typ, data: binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f)))}, nil
	}
	return floatValue(f), nil
}
