package tdsserver

import (
	"fmt"
	"strings"
)

// prepared is a statement that sp_prepare has kept.
type prepared struct {
	statements []statement
	names      []string // of its parameters
}

// callProcedure runs one call of an RPC request.
func (x *execution) callProcedure(p procedureCall, more bool) error {
	x.out.inProcedure = true
	outputs, err := x.procedure(p)
	if err != nil {
		if err := x.report(err); err != nil {
			return err
		}
	}
	if x.ctx.Err() != nil {
		return x.ctx.Err()
	}
	status := int32(0)
	if x.out.failed {
		status = x.scope.lastError
	}
	x.out.finishProcedure(status, outputs, more)
	return x.out.packets.err
}

// procedure returns the tokens with the output parameters.
func (x *execution) procedure(p procedureCall) ([]byte, error) {
	switch p.name {
	case "sp_executesql":
		if len(p.params) == 0 {
			return nil, x.missing(p)
		}
		var params []parameter
		if len(p.params) > 1 {
			params = p.params[2:]
		}
		declare(params, declared(p, 1))
		return x.runText(p.params[0].value.text(), params, 2)
	case "sp_prepare", "sp_prepexec":
		return x.prepare(p)
	case "sp_execute":
		return x.execute(p)
	case "sp_unprepare":
		if len(p.params) == 0 {
			return nil, x.missing(p)
		}
		if n, err := p.params[0].value.number(); err == nil {
			delete(x.scope.session.prepared, n)
		}
		return nil, nil
	case "sp_reset_connection":
		return nil, nil
	}
	return nil, sqlError{2812, 16, 62, fmt.Sprintf("Could not find stored procedure '%s'.", p.name)}
}

func (x *execution) missing(p procedureCall) error {
	return sqlError{201, 16, 4, fmt.Sprintf("Procedure or function '%s' expects parameters, which were not supplied.", p.name)}
}

// declared are the names in a declaration such as "@p1 int, @p2 nvarchar(3)",
// which is parameter i.
func declared(p procedureCall, i int) []string {
	if i >= len(p.params) || p.params[i].value.null {
		return nil
	}
	tokens, err := lex(p.params[i].value.text())
	if err != nil {
		return nil
	}
	var names []string
	for _, t := range tokens {
		if t.kind == tokenVar {
			names = append(names, strings.ToLower(t.text))
		}
	}
	return names
}

// declare names the parameters that came without a name, by their position.
func declare(params []parameter, names []string) {
	for i := range params {
		if params[i].name == "" && i < len(names) {
			params[i].name = names[i]
		}
	}
}

// runText parses and runs a batch with parameters; first is the ordinal of the
// first of them in the call.
func (x *execution) runText(batch string, params []parameter, first int) ([]byte, error) {
	statements, err := parse(batch)
	if err != nil {
		return nil, err
	}
	return x.runWith(statements, params, first)
}

func (x *execution) runWith(statements []statement, params []parameter, first int) ([]byte, error) {
	x.scope.variables = map[string]value{}
	for _, p := range params {
		x.scope.variables[p.name] = p.value
	}
	if err := x.runAll(statements); err != nil {
		return nil, err
	}
	var outputs []byte
	for i, p := range params {
		if p.output {
			v := x.scope.variables[p.name]
			outputs = append(outputs, returnValue(first+i, p.name, v, x.scope.session.version)...)
		}
	}
	return outputs, nil
}

// prepare is sp_prepare (handle OUTPUT, parameters, statement) and sp_prepexec,
// which runs it as well.
func (x *execution) prepare(p procedureCall) ([]byte, error) {
	if len(p.params) < 3 {
		return nil, x.missing(p)
	}
	statements, err := parse(p.params[2].value.text())
	if err != nil {
		return nil, err
	}
	s := x.scope.session
	s.handles++
	s.prepared[s.handles] = prepared{statements, declared(p, 1)}
	handle := returnValue(0, p.params[0].name, intValue(s.handles), s.version)
	if p.name == "sp_prepare" {
		return handle, nil
	}
	params := p.params[3:]
	declare(params, s.prepared[s.handles].names)
	outputs, err := x.runWith(statements, params, 3)
	return append(handle, outputs...), err
}

func (x *execution) execute(p procedureCall) ([]byte, error) {
	if len(p.params) == 0 {
		return nil, x.missing(p)
	}
	handle, err := p.params[0].value.number()
	if err != nil {
		return nil, err
	}
	stored, ok := x.scope.session.prepared[handle]
	if !ok {
		return nil, sqlError{8179, 16, 1, fmt.Sprintf("Could not find prepared statement with handle %d.", handle)}
	}
	params := p.params[1:]
	declare(params, stored.names)
	return x.runWith(stored.statements, params, 1)
}
