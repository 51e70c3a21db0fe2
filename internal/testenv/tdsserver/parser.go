package tdsserver

import (
	"strings"
)

// statement is one of a batch, ready to run.
type statement func(*execution) error

// parser reads a batch of the few statements this server has.
type parser struct {
	tokens []token
	pos    int
	depth  int
}

// parse reads a whole batch before any of it runs, so that a syntax error
// leaves nothing half done.
func parse(batch string) ([]statement, error) {
	tokens, err := lex(batch)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	var all []statement
	for p.peek().kind != tokenEnd {
		if p.accept(";") {
			continue
		}
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if p.pos < len(p.tokens)-1 {
		p.pos++
	}
	return t
}

func (p *parser) accept(s string) bool {
	if p.peek().is(s) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(s string) error {
	if t := p.peek(); !p.accept(s) {
		return syntaxError(t)
	}
	return nil
}

// maxDepth bounds how deep statements and expressions are nested.
const maxDepth = 200

// deeper is called at the beginning of what may contain itself, and its result
// at the end.
func (p *parser) deeper() (func(), error) {
	if p.depth++; p.depth > maxDepth {
		return nil, sqlError{191, 15, 1, "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries."}
	}
	return func() { p.depth-- }, nil
}

func (p *parser) statement() (statement, error) {
	leave, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer leave()
	t := p.next()
	if t.kind == tokenWord {
		switch strings.ToUpper(t.text) {
		case "SELECT":
			return p.selectStatement()
		case "PRINT":
			return p.print()
		case "RAISERROR":
			return p.raiseError()
		case "THROW":
			return p.throw()
		case "WAITFOR":
			return p.waitFor()
		case "SET":
			return p.set()
		case "USE":
			return p.use()
		case "DECLARE":
			return p.declare()
		case "IF":
			return p.conditional()
		case "EXEC", "EXECUTE":
			return p.exec()
		case "BEGIN", "COMMIT", "ROLLBACK", "SAVE":
			return p.transaction(strings.ToUpper(t.text))
		}
	}
	return nil, syntaxError(t)
}

// atStatement says whether the next token begins a statement.
func (p *parser) atStatement() bool {
	t := p.peek()
	if t.kind != tokenWord {
		return t.kind == tokenEnd || t.is(";")
	}
	switch strings.ToUpper(t.text) {
	case "SELECT", "PRINT", "RAISERROR", "THROW", "WAITFOR", "SET", "USE", "DECLARE", "IF", "ELSE", "EXEC", "EXECUTE",
		"BEGIN", "COMMIT", "ROLLBACK", "SAVE":
		return true
	}
	return false
}
