package tdsserver

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// exec is EXEC: there are no procedures.
func (p *parser) exec() (statement, error) {
	name := p.next()
	if name.kind != tokenWord && name.kind != tokenQuoted {
		return nil, syntaxError(name)
	}
	for !p.atStatement() {
		p.next()
	}
	return func(x *execution) error {
		return x.report(sqlError{2812, 16, 62, fmt.Sprintf("Could not find stored procedure '%s'.", name.text)})
	}, nil
}

// waitFor is WAITFOR DELAY 'hh:mm:ss[.fff]'.
func (p *parser) waitFor() (statement, error) {
	if err := p.expect("DELAY"); err != nil {
		return nil, err
	}
	e, err := p.expression()
	return func(x *execution) error {
		v, err := e.eval(&x.scope)
		if err != nil {
			return err
		}
		d, err := delay(v.text())
		if err != nil {
			return err
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-x.ctx.Done():
			return x.ctx.Err()
		}
	}, err
}

func delay(s string) (time.Duration, error) {
	var total float64
	parts := strings.Split(s, ":")
	for _, part := range parts {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil || n < 0 || len(parts) > 3 || len(parts) < 2 {
			return 0, sqlError{148, 15, 1, fmt.Sprintf("Incorrect time syntax in time string '%s' used with WAITFOR.", s)}
		}
		total = total*60 + n
	}
	if len(parts) == 2 {
		total *= 60
	}
	return time.Duration(total * float64(time.Second)), nil
}

// set gives a variable a value; every other SET is accepted and forgotten.
func (p *parser) set() (statement, error) {
	if p.peek().kind == tokenVar {
		name := p.next().text
		if err := p.expect("="); err != nil {
			return nil, err
		}
		e, err := p.expression()
		return func(x *execution) error { return x.assign(name, e) }, err
	}
	for first := true; first || !p.atStatement(); first = false {
		p.next()
	}
	return func(*execution) error { return nil }, nil
}

func (x *execution) assign(name string, e expression) error {
	v, err := e.eval(&x.scope)
	if err != nil {
		return err
	}
	if _, ok := x.scope.variables[name]; !ok {
		return sqlError{137, 15, 1, fmt.Sprintf(`Must declare the scalar variable "%s".`, name)}
	}
	x.scope.variables[name] = v
	return nil
}

func (p *parser) use() (statement, error) {
	t := p.next()
	if t.kind != tokenWord && t.kind != tokenQuoted {
		return nil, syntaxError(t)
	}
	return func(x *execution) error { return x.useDatabase(t.text) }, nil
}

func (p *parser) declare() (statement, error) {
	var all []statement
	for {
		t := p.next()
		if t.kind != tokenVar {
			return nil, syntaxError(t)
		}
		p.accept("AS")
		typ, err := p.sqlType()
		if err != nil {
			return nil, err
		}
		initial := constant(nullValue())
		if p.accept("=") {
			if initial, err = p.expression(); err != nil {
				return nil, err
			}
		}
		all = append(all, func(x *execution) error {
			v, err := typ.of(initial).eval(&x.scope)
			x.scope.variables[t.text] = v
			return err
		})
		if !p.accept(",") {
			return sequence(all), nil
		}
	}
}

func sequence(all []statement) statement {
	return func(x *execution) error {
		for _, s := range all {
			if err := s(x); err != nil {
				return err
			}
		}
		return nil
	}
}

// conditional is IF condition statement [ELSE statement].
func (p *parser) conditional() (statement, error) {
	holds, err := p.condition()
	if err != nil {
		return nil, err
	}
	then, err := p.statement()
	if err != nil {
		return nil, err
	}
	otherwise := sequence(nil)
	p.accept(";")
	if p.accept("ELSE") {
		if otherwise, err = p.statement(); err != nil {
			return nil, err
		}
	}
	return func(x *execution) error {
		ok, err := holds(&x.scope)
		switch {
		case err != nil:
			return err
		case ok:
			return then(x)
		}
		return otherwise(x)
	}, nil
}

// transaction is BEGIN TRAN, COMMIT, ROLLBACK and SAVE TRAN, names ignored.
// BEGIN … END is a block.
func (p *parser) transaction(verb string) (statement, error) {
	named := p.accept("TRAN") || p.accept("TRANSACTION")
	if verb == "BEGIN" && !named {
		return p.block()
	}
	if !named {
		p.accept("WORK")
	}
	if named && !p.atStatement() {
		p.next()
	}
	return func(x *execution) error { return x.transaction(verb) }, nil
}

func (p *parser) block() (statement, error) {
	var all []statement
	for !p.accept("END") {
		if p.accept(";") {
			continue
		}
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return sequence(all), nil
}
