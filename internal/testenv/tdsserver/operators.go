package tdsserver

import (
	"fmt"
	"math/big"
	"strconv"
)

func binaryOperation(sign string, left, right expression) expression {
	return expression{constant: left.constant && right.constant, eval: func(s *scope) (value, error) {
		a, err := left.eval(s)
		if err != nil {
			return a, err
		}
		b, err := right.eval(s)
		if err != nil {
			return b, err
		}
		return operate(sign, a, b)
	}}
}

func operate(sign string, a, b value) (value, error) {
	switch {
	case a.null || b.null:
		return value{typ: a.typ, null: true}, nil
	case sign == "+" && a.isChar() && b.isChar():
		return concat(a, b), nil
	case a.isWhole(b) || b.isWhole(a):
		return operateInt(sign, a, b)
	case a.typ.id == typeFltN || b.typ.id == typeFltN:
		return operateFloat(sign, a, b)
	}
	return operateDecimal(sign, a, b)
}

// isWhole says whether v makes an operation with other one of integers.
func (v value) isWhole(other value) bool {
	return v.isInt() && (other.isInt() || other.isChar() || other.isBinary())
}

func incompatible(sign string) error {
	return sqlError{402, 16, 1, fmt.Sprintf("The data types are incompatible in the %s operator.", sign)}
}

func operateFloat(sign string, a, b value) (value, error) {
	x, errX := strconv.ParseFloat(a.text(), 64)
	y, errY := strconv.ParseFloat(b.text(), 64)
	if errX != nil || errY != nil {
		return value{}, incompatible(sign)
	}
	switch sign {
	case "+":
		return floatValue(x + y), nil
	case "-":
		return floatValue(x - y), nil
	case "*":
		return floatValue(x * y), nil
	case "/":
		if y == 0 {
			return value{}, errDivide
		}
		return floatValue(x / y), nil
	}
	return value{}, incompatible(sign)
}

func operateDecimal(sign string, a, b value) (value, error) {
	x, okX := new(big.Rat).SetString(a.text())
	y, okY := new(big.Rat).SetString(b.text())
	if !okX || !okY {
		return value{}, incompatible(sign)
	}
	scale := int(max(a.typ.scale, b.typ.scale))
	result := new(big.Rat)
	switch sign {
	case "+":
		result.Add(x, y)
	case "-":
		result.Sub(x, y)
	case "*":
		scale = int(a.typ.scale + b.typ.scale)
		result.Mul(x, y)
	case "/":
		if y.Sign() == 0 {
			return value{}, errDivide
		}
		scale = max(scale, 6)
		result.Quo(x, y)
	default:
		return value{}, incompatible(sign)
	}
	return decimalValue(result.FloatString(scale), 0, 0)
}

var errDivide = sqlError{8134, 16, 1, "Divide by zero error encountered."}

func operateInt(sign string, a, b value) (value, error) {
	x, err := a.number()
	if err != nil {
		return value{}, err
	}
	y, err := b.number()
	if err != nil {
		return value{}, err
	}
	size := max(len(a.data)*boolInt(a.isInt()), len(b.data)*boolInt(b.isInt()), 4)
	switch sign {
	case "+":
		x += y
	case "-":
		x -= y
	case "*":
		x *= y
	case "&":
		x &= y
	default:
		if y == 0 {
			return value{}, errDivide
		}
		if sign == "/" {
			x /= y
		} else {
			x %= y
		}
	}
	return sizedInt(x, size), nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// concat keeps (max) and Unicode if one of the two has it.
func concat(a, b value) value {
	var v value
	if a.isUnicode() || b.isUnicode() {
		v = text(a.text() + b.text())
	} else {
		v = ansiText(a.text() + b.text())
	}
	if a.typ.size == sizeMax || b.typ.size == sizeMax {
		v.typ.size = sizeMax
	} else if len(v.data) > 8000 {
		v.data, v.typ.size = v.data[:8000], 8000
	}
	return v
}
