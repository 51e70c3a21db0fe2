package tdsserver

import (
	"encoding/hex"
	"fmt"
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

func (p *parser) factor() (expression, error) {
	leave, err := p.deeper()
	if err != nil {
		return expression{}, err
	}
	defer leave()
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
