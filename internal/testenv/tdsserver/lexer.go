package tdsserver

import (
	"fmt"
	"strings"
	"unicode"
)

type tokenKind int

const (
	tokenEnd     tokenKind = iota
	tokenWord              // a keyword or a name
	tokenQuoted            // a [name] or "name"
	tokenVar               // @name or @@name
	tokenString            // 'text'
	tokenNString           // N'text'
	tokenNumber            // 12, 1.5, 1e3
	tokenBinary            // 0x0A
	tokenSign              // anything else, one or two characters
)

type token struct {
	kind tokenKind
	text string // without quotes
}

// is says whether t is that keyword or sign, in any case.
func (t token) is(s string) bool {
	return (t.kind == tokenWord || t.kind == tokenSign) && strings.EqualFold(t.text, s)
}

// lexer cuts a batch into tokens.
type lexer struct {
	rest []rune
}

func lex(batch string) ([]token, error) {
	l := lexer{rest: []rune(batch)}
	var tokens []token
	for {
		if err := l.space(); err != nil {
			return nil, err
		}
		if len(l.rest) == 0 {
			return append(tokens, token{}), nil
		}
		t, err := l.token()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
	}
}

func (l *lexer) at(i int) rune {
	if i < len(l.rest) {
		return l.rest[i]
	}
	return 0
}

func (l *lexer) take(n int) string {
	s := string(l.rest[:n])
	l.rest = l.rest[n:]
	return s
}

// space removes blanks and comments.
func (l *lexer) space() error {
	for len(l.rest) > 0 {
		switch {
		case unicode.IsSpace(l.rest[0]):
			l.rest = l.rest[1:]
		case l.at(0) == '-' && l.at(1) == '-':
			for len(l.rest) > 0 && l.rest[0] != '\n' {
				l.rest = l.rest[1:]
			}
		case l.at(0) == '/' && l.at(1) == '*':
			end := strings.Index(string(l.rest), "*/")
			if end < 0 {
				return sqlError{113, 15, 1, "Missing end comment mark '*/'."}
			}
			l.rest = []rune(string(l.rest)[end+2:])
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) token() (token, error) {
	c := l.rest[0]
	switch {
	case c == '\'':
		return l.quoted(tokenString, 1, '\'')
	case (c == 'N' || c == 'n') && l.at(1) == '\'':
		return l.quoted(tokenNString, 2, '\'')
	case c == '"':
		return l.quoted(tokenQuoted, 1, '"')
	case c == '[':
		return l.quoted(tokenQuoted, 1, ']')
	case c == '0' && (l.at(1) == 'x' || l.at(1) == 'X'):
		return token{tokenBinary, l.take(2 + l.run(2, func(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) }))[2:]}, nil
	case unicode.IsDigit(c) || c == '.' && unicode.IsDigit(l.at(1)):
		return l.number(), nil
	case c == '@':
		return token{tokenVar, strings.ToLower(l.take(1 + l.run(1, isNameRune)))}, nil
	case isNameRune(c):
		return token{tokenWord, l.take(l.run(0, isNameRune))}, nil
	}
	switch string([]rune{c, l.at(1)}) {
	case "<>", "<=", ">=", "!=":
		return token{tokenSign, l.take(2)}, nil
	}
	return token{tokenSign, l.take(1)}, nil
}

func isNameRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_#$@", r)
}

// run counts the characters from i on that ok accepts.
func (l *lexer) run(i int, ok func(rune) bool) (n int) {
	for i+n < len(l.rest) && ok(l.rest[i+n]) {
		n++
	}
	return n
}

func (l *lexer) number() token {
	n := l.run(0, unicode.IsDigit)
	if l.at(n) == '.' {
		n++
		n += l.run(n, unicode.IsDigit)
	}
	if e := l.at(n); e == 'e' || e == 'E' {
		n++
		if s := l.at(n); s == '+' || s == '-' {
			n++
		}
		n += l.run(n, unicode.IsDigit)
	}
	return token{tokenNumber, l.take(n)}
}

// quoted reads up to the closing quote; a doubled one stands for itself.
func (l *lexer) quoted(kind tokenKind, from int, quote rune) (token, error) {
	var b strings.Builder
	for i := from; i < len(l.rest); i++ {
		if l.rest[i] != quote {
			b.WriteRune(l.rest[i])
			continue
		}
		if l.at(i+1) == quote {
			b.WriteRune(quote)
			i++
			continue
		}
		l.take(i + 1)
		return token{kind, b.String()}, nil
	}
	return token{}, sqlError{105, 15, 1, fmt.Sprintf("Unclosed quotation mark after the character string '%s'.", b.String())}
}
