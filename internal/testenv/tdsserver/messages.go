package tdsserver

import "strings"

func (p *parser) print() (statement, error) {
	e, err := p.expression()
	return func(x *execution) error {
		v, err := e.eval(&x.scope)
		if err != nil {
			return err
		}
		return x.notice(sqlError{0, 0, 1, v.text()})
	}, err
}

// notice is a statement that is nothing but a message.
func (x *execution) notice(e sqlError) error {
	if err := x.out.info(e); err != nil {
		return err
	}
	x.out.done(0, 0)
	return nil
}

// raiseError is RAISERROR(text, severity, state [, arguments]) [WITH …]. Up to
// severity 10 it is a message; from 20 on the connection ends.
func (p *parser) raiseError() (statement, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var args []expression
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, e)
		if !p.accept(",") {
			break
		}
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if p.accept("WITH") {
		p.next()
		for p.accept(",") {
			p.next()
		}
	}
	if len(args) < 3 {
		return nil, syntaxError(p.peek())
	}
	return func(x *execution) error {
		v, err := evalAll(args, &x.scope)
		if err != nil {
			return err
		}
		e, err := raised(v)
		if err != nil {
			return err
		}
		if e.class <= 10 {
			return x.notice(e)
		}
		return x.report(e)
	}, nil
}

func evalAll(args []expression, s *scope) ([]value, error) {
	values := make([]value, len(args))
	for i, e := range args {
		v, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

func raised(v []value) (sqlError, error) {
	class, err := v[1].number()
	if err != nil {
		return sqlError{}, err
	}
	state, err := v[2].number()
	if err != nil || class < 0 || class > 25 {
		return sqlError{}, sqlError{2754, 16, 1, "Error severity levels greater than 18 can only be specified by members of the sysadmin role."}
	}
	message := v[0].text()
	for _, arg := range v[3:] {
		for _, verb := range []string{"%s", "%d"} {
			if strings.Contains(message, verb) {
				message = strings.Replace(message, verb, arg.text(), 1)
				break
			}
		}
	}
	return sqlError{50000, byte(class), byte(state), message}, nil
}

// throw is THROW number, text, state: it ends the batch.
func (p *parser) throw() (statement, error) {
	var args []expression
	for i := range 3 {
		if i > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, e)
	}
	return func(x *execution) error {
		v, err := evalAll(args, &x.scope)
		if err != nil {
			return err
		}
		number, err := v[0].number()
		if err != nil {
			return err
		}
		state, err := v[2].number()
		if err != nil {
			return err
		}
		return sqlError{int32(number), 16, byte(state), v[1].text()}
	}, nil
}
