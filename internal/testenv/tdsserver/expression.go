package tdsserver

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// expression yields a value in a scope. It may be evaluated once only if it is
// constant: if no column of a row is in it.
type expression struct {
	eval     func(*scope) (value, error)
	constant bool
}

// scope is what names mean while a statement runs.
type scope struct {
	session   *session
	variables map[string]value
	row       map[string]value
	rowCount  int64
	lastError int32
}

func constant(v value) expression {
	return expression{eval: func(*scope) (value, error) { return v, nil }, constant: true}
}

// expression parses sums, which bind weakest; conditions are apart.
func (p *parser) expression() (expression, error) {
	return p.operators([]string{"+", "-", "&"}, func() (expression, error) {
		return p.operators([]string{"*", "/", "%"}, p.factor)
	})
}

func (p *parser) operators(signs []string, operand func() (expression, error)) (expression, error) {
	left, err := operand()
	if err != nil {
		return left, err
	}
	for {
		sign := ""
		for _, s := range signs {
			if p.accept(s) {
				sign = s
			}
		}
		if sign == "" {
			return left, nil
		}
		right, err := operand()
		if err != nil {
			return left, err
		}
		left = binaryOperation(sign, left, right)
	}
}

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

func (p *parser) factor() (expression, error) {
	t := p.next()
	switch {
	case t.is("-"):
		e, err := p.factor()
		return binaryOperation("-", constant(intValue(0)), e), err
	case t.is("+"):
		return p.factor()
	case t.is("("):
		e, err := p.expression()
		if err == nil {
			err = p.expect(")")
		}
		return e, err
	case t.kind == tokenVar:
		return p.variable(t.text), nil
	case t.kind == tokenWord || t.kind == tokenQuoted:
		return p.named(t)
	}
	v, err := literal(t)
	return constant(v), err
}

func literal(t token) (value, error) {
	switch t.kind {
	case tokenString:
		return ansiText(t.text), nil
	case tokenNString:
		return text(t.text), nil
	case tokenBinary:
		digits := t.text
		if len(digits)%2 == 1 {
			digits = "0" + digits
		}
		b, err := hex.DecodeString(digits)
		return binaryValue(b), err
	case tokenNumber:
		if n, err := strconv.ParseInt(t.text, 10, 32); err == nil {
			return intValue(n), nil
		}
		if strings.ContainsAny(t.text, "eE") {
			f, err := strconv.ParseFloat(t.text, 64)
			return floatValue(f), err
		}
		return decimalValue(t.text, 0, 0)
	}
	return value{}, syntaxError(t)
}

func (p *parser) variable(name string) expression {
	return expression{constant: true, eval: func(s *scope) (value, error) {
		if strings.HasPrefix(name, "@@") {
			return s.global(name)
		}
		v, ok := s.variables[name]
		if !ok {
			return v, sqlError{137, 15, 2, fmt.Sprintf(`Must declare the scalar variable "%s".`, name)}
		}
		return v, nil
	}}
}

// named parses what begins with a name: a function, a column, NULL.
func (p *parser) named(t token) (expression, error) {
	switch {
	case t.is("NULL"):
		return constant(nullValue()), nil
	case t.is("CAST") || t.is("TRY_CAST"):
		return p.cast()
	case t.is("CONVERT"):
		return p.convert()
	case t.kind == tokenWord && p.accept("("):
		return p.function(t.text)
	case t.is("SYSTEM_USER"), t.is("CURRENT_USER"), t.is("SESSION_USER"), t.is("USER"):
		return call(strings.ToUpper(t.text), nil)
	}
	name := t.text
	for p.accept(".") {
		name = p.next().text
	}
	return expression{eval: func(s *scope) (value, error) {
		v, ok := s.row[strings.ToLower(name)]
		if !ok {
			return v, sqlError{207, 16, 1, fmt.Sprintf("Invalid column name '%s'.", name)}
		}
		return v, nil
	}}, nil
}

func (p *parser) function(name string) (expression, error) {
	var args []expression
	for !p.accept(")") {
		if len(args) > 0 {
			if err := p.expect(","); err != nil {
				return expression{}, err
			}
		}
		e, err := p.expression()
		if err != nil {
			return e, err
		}
		args = append(args, e)
	}
	return call(strings.ToUpper(name), args)
}

func call(name string, args []expression) (expression, error) {
	f, ok := functions[name]
	if !ok {
		return expression{}, sqlError{195, 15, 10, fmt.Sprintf("'%s' is not a recognized built-in function name.", name)}
	}
	if len(args) < f.least || len(args) > f.most {
		return expression{}, sqlError{174, 15, 1, fmt.Sprintf("The %s function requires %d argument(s).", strings.ToLower(name), f.least)}
	}
	e := expression{constant: true}
	for _, a := range args {
		e.constant = e.constant && a.constant
	}
	e.eval = func(s *scope) (value, error) {
		values := make([]value, len(args))
		for i, a := range args {
			v, err := a.eval(s)
			if err != nil {
				return v, err
			}
			values[i] = v
		}
		return f.run(s, values)
	}
	return e, nil
}

// condition parses comparisons joined by AND and OR, from left to right.
func (p *parser) condition() (func(*scope) (bool, error), error) {
	left, err := p.comparison()
	for err == nil {
		and := p.accept("AND")
		if !and && !p.accept("OR") {
			break
		}
		before := left
		var right func(*scope) (bool, error)
		if right, err = p.comparison(); err != nil {
			break
		}
		left = func(s *scope) (bool, error) {
			ok, err := before(s)
			if err != nil || ok != and {
				return ok, err
			}
			return right(s)
		}
	}
	return left, err
}

func (p *parser) comparison() (func(*scope) (bool, error), error) {
	left, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.accept("IS") {
		not := p.accept("NOT")
		return func(s *scope) (bool, error) {
			v, err := left.eval(s)
			return v.null != not, err
		}, p.expect("NULL")
	}
	sign := p.next()
	accepted, ok := map[string][]int{
		"=": {0}, "<>": {-1, 1}, "!=": {-1, 1}, "<": {-1}, ">": {1}, "<=": {-1, 0}, ">=": {0, 1},
	}[sign.text]
	if !ok {
		return nil, syntaxError(sign)
	}
	right, err := p.expression()
	return func(s *scope) (bool, error) {
		a, err := left.eval(s)
		if err != nil {
			return false, err
		}
		b, err := right.eval(s)
		if err != nil || a.null || b.null {
			return false, err
		}
		result, err := compareValues(a, b)
		for _, r := range accepted {
			if r == result && err == nil {
				return true, nil
			}
		}
		return false, err
	}, err
}

func compareValues(a, b value) (int, error) {
	if a.isInt() || b.isInt() {
		x, err := a.number()
		if err != nil {
			return 0, err
		}
		y, err := b.number()
		return compare(x, y), err
	}
	return strings.Compare(strings.ToLower(a.text()), strings.ToLower(b.text())), nil
}

func compare(x, y int64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}
