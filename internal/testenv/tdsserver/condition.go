package tdsserver

import "strings"

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
