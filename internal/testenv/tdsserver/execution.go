package tdsserver

import (
	"context"
	"errors"
	"fmt"

	"secretless/internal/wire/tds"
)

// execution is one request while it runs.
type execution struct {
	ctx   context.Context
	scope scope
	out   *response
}

// errClosed ends a connection after an error of fatal class.
var errClosed = errors.New("the server closes the connection")

// run answers m up to its last token. The context's error means that the
// client asked for an end: the caller acknowledges that.
func (x *execution) run(m message) error {
	switch m.kind {
	case tds.TypeBatch:
		return x.batch(m.body)
	case tds.TypeRPC:
		return x.rpc(m.body)
	case tds.TypeTransaction:
		return x.transactionRequest(m.body)
	}
	if err := x.report(sqlError{4002, 16, 1, fmt.Sprintf("Requests of type %#02x are not supported.", byte(m.kind))}); err != nil {
		return err
	}
	x.out.finishBatch()
	return nil
}

func (x *execution) body(b []byte) *cursor {
	c := &cursor{data: b}
	if since72(x.scope.session.version) {
		c.skipAllHeaders()
	}
	return c
}

func (x *execution) batch(b []byte) error {
	c := x.body(b)
	if c.err != nil {
		return c.err
	}
	statements, err := parse(decodeUTF16(c.data))
	if err == nil {
		x.scope.variables = map[string]value{}
		err = x.runAll(statements)
	}
	if err != nil {
		if err := x.report(err); err != nil {
			return err
		}
	}
	x.out.finishBatch()
	return x.out.packets.err
}

func (x *execution) rpc(b []byte) error {
	calls, err := parseRPC(x.body(b))
	var unsupported unsupportedType
	if errors.As(err, &unsupported) {
		if err := x.report(sqlError{8009, 16, 1, "A parameter is not supported: " + err.Error() + "."}); err != nil {
			return err
		}
		x.out.finishBatch()
		return nil
	}
	if err != nil {
		return err
	}
	for i, call := range calls {
		if err := x.callProcedure(call, i < len(calls)-1); err != nil {
			return err
		}
	}
	return nil
}

// runAll runs statements; one that fails and is no RAISERROR ends the batch.
func (x *execution) runAll(statements []statement) error {
	for _, s := range statements {
		if err := s(x); err != nil {
			return err
		}
		if err := x.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// counted ends a statement that has n rows.
func (x *execution) counted(n int64) error {
	x.scope.rowCount = n
	x.out.done(doneCount, n)
	return nil
}

// report sends an error to the client. It returns those that are none of SQL's,
// and errClosed after one of fatal class.
func (x *execution) report(err error) error {
	var e sqlError
	if !errors.As(err, &e) {
		return err
	}
	x.scope.lastError = e.number
	if err := x.out.sqlError(e); err != nil {
		return err
	}
	if e.class >= fatalClass {
		x.out.done(doneError|doneSrvError, 0)
		x.out.settle(0)
		return errClosed
	}
	x.out.done(doneError, 0)
	return nil
}

// useDatabase changes the database of the session.
func (x *execution) useDatabase(name string) error {
	s := x.scope.session
	known, ok := s.server.database(name)
	if !ok {
		return sqlError{911, 16, 1, fmt.Sprintf("Database '%s' does not exist. Make sure that the name is entered correctly.", name)}
	}
	before := s.database
	s.database = known
	if err := x.out.token(envChangeText(envDatabase, known, before)); err != nil {
		return err
	}
	return x.out.info(sqlError{5701, 0, 2, fmt.Sprintf("Changed database context to '%s'.", known)})
}
