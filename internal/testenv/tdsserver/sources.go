package tdsserver

import (
	"fmt"
	"iter"
	"strings"
)

// source is what follows FROM: rows with names. The sample has their types.
type source struct {
	sample func(*scope) (map[string]value, error)
	rows   func(*scope) (iter.Seq[map[string]value], error)
}

// source is GENERATE_SERIES(from, to), or a view with one row about this
// connection.
func (p *parser) source() (*source, error) {
	name := p.next()
	full := name.text
	for p.accept(".") {
		full = p.next().text
	}
	var s *source
	switch {
	case strings.EqualFold(full, "GENERATE_SERIES"):
		e, err := p.arguments()
		if err != nil {
			return nil, err
		}
		if len(e) < 2 || len(e) > 3 {
			return nil, syntaxError(name)
		}
		s = series(e)
	case strings.EqualFold(full, "dm_exec_connections"):
		s = oneRow(connectionRow)
	case strings.EqualFold(full, "dm_exec_sessions"):
		s = oneRow(sessionRow)
	default:
		return nil, sqlError{208, 16, 1, fmt.Sprintf("Invalid object name '%s'.", full)}
	}
	p.accept("AS")
	if t := p.peek(); t.kind == tokenWord && !t.is("WHERE") && !p.atStatement() {
		p.next()
	}
	return s, nil
}

func (p *parser) arguments() ([]expression, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var all []expression
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		if !p.accept(",") {
			return all, p.expect(")")
		}
	}
}

func series(bounds []expression) *source {
	return &source{
		sample: func(s *scope) (map[string]value, error) {
			v, err := bounds[0].eval(s)
			return map[string]value{"value": v}, err
		},
		rows: func(s *scope) (iter.Seq[map[string]value], error) {
			values, err := evalAll(bounds, s)
			if err != nil {
				return nil, err
			}
			from, err := values[0].number()
			if err != nil {
				return nil, err
			}
			to, err := values[1].number()
			if err != nil {
				return nil, err
			}
			step := int64(1)
			if len(values) == 3 {
				if step, err = values[2].number(); err != nil || step < 1 {
					return nil, sqlError{4199, 16, 1, "Argument value 3 is invalid for function 'GENERATE_SERIES'."}
				}
			}
			size := max(len(values[0].data), 1)
			return func(yield func(map[string]value) bool) {
				row := map[string]value{}
				for n := from; n <= to; n += step {
					row["value"] = sizedInt(n, size)
					if !yield(row) {
						return
					}
				}
			}, nil
		},
	}
}

func oneRow(row func(*session) map[string]value) *source {
	return &source{
		sample: func(s *scope) (map[string]value, error) { return row(s.session), nil },
		rows: func(s *scope) (iter.Seq[map[string]value], error) {
			return func(yield func(map[string]value) bool) { yield(row(s.session)) }, nil
		},
	}
}

func connectionRow(s *session) map[string]value {
	encrypted := "FALSE"
	if s.encrypted {
		encrypted = "TRUE"
	}
	return map[string]value{
		"session_id": intValue(int64(s.spid)), "encrypt_option": text(encrypted), "net_transport": text("TCP"),
		"auth_scheme": text("SQL"), "net_packet_size": intValue(int64(s.packetSize)),
	}
}

func sessionRow(s *session) map[string]value {
	return map[string]value{
		"session_id": intValue(int64(s.spid)), "login_name": text(s.user), "program_name": text(s.login.AppName),
		"host_name": text(s.login.HostName), "language": text(s.language), "client_interface_name": text(s.login.InterfaceName),
	}
}
