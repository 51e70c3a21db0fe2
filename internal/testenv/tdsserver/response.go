package tdsserver

import "fmt"

// response writes the tokens of one answer. A DONE is held back until it is
// known whether something follows.
type response struct {
	packets *packetWriter
	session *session
	// inProcedure: statements end with DONEINPROC, and the call with DONEPROC.
	inProcedure bool

	pending bool
	status  uint16
	count   int64
	failed  bool
}

func (r *response) token(b []byte) error {
	r.settle(doneMore)
	r.packets.write(b)
	return r.packets.err
}

// settle writes the DONE that was held back.
func (r *response) settle(more uint16) {
	if !r.pending {
		return
	}
	r.pending = false
	kind := byte(tokenDone)
	if r.inProcedure {
		kind, more = tokenDoneInProc, doneMore
	}
	r.packets.write(doneToken(kind, r.status|more, r.count, r.session.version))
}

// done ends a statement.
func (r *response) done(status uint16, count int64) {
	r.settle(doneMore)
	r.pending, r.status, r.count = true, status, count
}

func (r *response) columns(columns []column, values []value) error {
	return r.token(colMetadata(columns, values, r.session.version))
}

// row writes values, which have the types that columns announced.
func (r *response) row(types, values []value) error {
	b := []byte{tokenRow}
	for i, v := range values {
		t := types[i].typ
		if v.typ.id != t.id && !v.null || t.size != sizeMax && len(v.data) > max(t.size, 16) {
			return sqlError{8152, 16, 2, fmt.Sprintf("Column %d does not fit its type.", i+1)}
		}
		v.typ = t
		b = v.appendTo(b)
	}
	return r.token(b)
}

func (r *response) info(e sqlError) error {
	return r.token(messageToken(tokenInfo, e, r.session.server.name(), 1, r.session.version))
}

func (r *response) sqlError(e sqlError) error {
	r.failed = true
	return r.token(messageToken(tokenError, e, r.session.server.name(), 1, r.session.version))
}

// finishBatch ends a batch: with the last statement's DONE, or one of its own.
func (r *response) finishBatch() {
	if !r.pending {
		r.done(r.errorBit(), 0)
	}
	r.settle(0)
}

// finishProcedure ends a call; more says that another follows in the request.
func (r *response) finishProcedure(status int32, outputs []byte, more bool) {
	r.settle(doneMore)
	r.packets.write(returnStatus(status))
	r.packets.write(outputs)
	bits := r.errorBit()
	if more {
		bits |= doneMore
	}
	r.packets.write(doneToken(tokenDoneProc, bits, 0, r.session.version))
	r.failed = false
}

func (r *response) errorBit() uint16 {
	if r.failed {
		return doneError
	}
	return 0
}
