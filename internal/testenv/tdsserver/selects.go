package tdsserver

// column is one of a SELECT's list; one with a variable assigns.
type column struct {
	name     string
	variable string
	value    expression
}

type query struct {
	columns []column
	from    *source
	where   func(*scope) (bool, error)
	top     *expression
}

func (p *parser) selectStatement() (statement, error) {
	q := &query{}
	if p.accept("TOP") {
		top, err := p.factor()
		if err != nil {
			return nil, err
		}
		q.top = &top
	}
	for {
		c, err := p.column()
		if err != nil {
			return nil, err
		}
		q.columns = append(q.columns, c)
		if !p.accept(",") {
			break
		}
	}
	var err error
	if p.accept("FROM") {
		if q.from, err = p.source(); err != nil {
			return nil, err
		}
	}
	if p.accept("WHERE") {
		if q.where, err = p.condition(); err != nil {
			return nil, err
		}
	}
	return q.run, nil
}

// column is expression [[AS] alias], alias = expression or @variable = expression.
func (p *parser) column() (column, error) {
	var c column
	first := p.peek()
	if p.pos+1 < len(p.tokens) && p.tokens[p.pos+1].is("=") {
		switch first.kind {
		case tokenVar:
			c.variable = first.text
			p.pos += 2
		case tokenWord, tokenQuoted, tokenString:
			c.name = first.text
			p.pos += 2
		}
	}
	e, err := p.expression()
	if err != nil {
		return c, err
	}
	c.value = e
	if c.name == "" && !e.constant && (first.kind == tokenWord || first.kind == tokenQuoted) && p.tokens[p.pos-1].kind != tokenSign {
		c.name = p.tokens[p.pos-1].text
	}
	if p.accept("AS") {
		c.name = p.next().text
		return c, nil
	}
	if t := p.peek(); t.kind == tokenQuoted || t.kind == tokenString ||
		t.kind == tokenWord && !p.atStatement() && !t.is("FROM") && !t.is("WHERE") && !t.is("END") {
		c.name = p.next().text
	}
	return c, nil
}

func (q *query) run(x *execution) error {
	if q.columns[0].variable != "" {
		return q.assign(x)
	}
	if q.from == nil {
		values, err := q.values(x)
		if err != nil {
			return err
		}
		if err := x.out.columns(q.columns, values); err != nil {
			return err
		}
		n := int64(0)
		if ok, err := q.wanted(x); err != nil {
			return err
		} else if ok {
			n = 1
			if err := x.out.row(values, values); err != nil {
				return err
			}
		}
		return x.counted(n)
	}
	return q.runFrom(x)
}

func (q *query) wanted(x *execution) (bool, error) {
	if q.where == nil {
		return true, nil
	}
	return q.where(&x.scope)
}

func (q *query) assign(x *execution) error {
	for _, c := range q.columns {
		if err := x.assign(c.variable, c.value); err != nil {
			return err
		}
	}
	x.scope.rowCount = 1
	return nil
}

func (q *query) values(x *execution) ([]value, error) {
	values := make([]value, len(q.columns))
	for i, c := range q.columns {
		v, err := c.value.eval(&x.scope)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

func (q *query) runFrom(x *execution) error {
	defer func() { x.scope.row = nil }()
	var err error
	if x.scope.row, err = q.from.sample(&x.scope); err != nil {
		return err
	}
	types, err := q.values(x)
	if err != nil {
		return err
	}
	for i := range types {
		types[i].typ = types[i].typ.widest()
	}
	if err := x.out.columns(q.columns, types); err != nil {
		return err
	}
	limit, err := q.limit(x)
	if err != nil {
		return err
	}
	rows, err := q.from.rows(&x.scope)
	if err != nil {
		return err
	}
	n := int64(0)
	values := append([]value(nil), types...)
	for row := range rows {
		if n == limit {
			break
		}
		if err := x.ctx.Err(); err != nil {
			return err
		}
		x.scope.row = row
		if ok, err := q.wanted(x); err != nil {
			return err
		} else if !ok {
			continue
		}
		if err := q.refresh(x, values); err != nil {
			return err
		}
		if err := x.out.row(types, values); err != nil {
			return err
		}
		n++
	}
	return x.counted(n)
}

// refresh evaluates again what depends on the row.
func (q *query) refresh(x *execution, values []value) error {
	for i, c := range q.columns {
		if c.value.constant {
			continue
		}
		v, err := c.value.eval(&x.scope)
		if err != nil {
			return err
		}
		values[i] = v
	}
	return nil
}

func (q *query) limit(x *execution) (int64, error) {
	if q.top == nil {
		return -1, nil
	}
	v, err := q.top.eval(&x.scope)
	if err != nil {
		return 0, err
	}
	return v.number()
}

// widest is the type for a column whose width differs between rows.
func (t typeInfo) widest() typeInfo {
	if f := forms[t.id]; (f == formChar || f == formBinary) && t.size != sizeMax {
		t.size = 8000
	}
	return t
}
