package tdsserver

import (
	"encoding/binary"
	"fmt"
)

// transaction is one of BEGIN, COMMIT, ROLLBACK and SAVE.
func (x *execution) transaction(verb string) error {
	s := x.scope.session
	if verb != "BEGIN" && s.transactions == 0 {
		return map[string]sqlError{
			"COMMIT":   {3902, 16, 1, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION."},
			"ROLLBACK": {3903, 16, 1, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."},
			"SAVE":     {628, 16, 1, "Cannot issue SAVE TRANSACTION when there is no active transaction."},
		}[verb]
	}
	descriptor := binary.LittleEndian.AppendUint64(nil, s.transaction)
	switch verb {
	case "BEGIN":
		if s.transactions++; s.transactions > 1 {
			return nil
		}
		s.transaction++
		descriptor = binary.LittleEndian.AppendUint64(nil, s.transaction)
		return x.transactionChange(envBegin, descriptor, nil)
	case "COMMIT":
		if s.transactions--; s.transactions > 0 {
			return nil
		}
		return x.transactionChange(envCommit, nil, descriptor)
	case "ROLLBACK":
		s.transactions = 0
		return x.transactionChange(envRollback, nil, descriptor)
	}
	return nil
}

// transactionChange tells the client, since TDS 7.2.
func (x *execution) transactionChange(kind byte, now, before []byte) error {
	if !since72(x.scope.session.version) {
		return nil
	}
	return x.out.token(envChangeBytes(kind, now, before))
}

// transactionVerbs are the requests of the transaction manager, [MS-TDS] 2.2.6.9.
var transactionVerbs = map[uint16]string{5: "BEGIN", 7: "COMMIT", 8: "ROLLBACK", 9: "SAVE"}

func (x *execution) transactionRequest(b []byte) error {
	c := x.body(b)
	kind := c.uint16()
	verb, ok := transactionVerbs[kind]
	if c.err != nil {
		return c.err
	}
	err := error(sqlError{3999, 17, 1, fmt.Sprintf("Transaction manager request %d is not supported.", kind)})
	if ok {
		err = x.transaction(verb)
	}
	if err == nil && verb != "BEGIN" && verb != "SAVE" {
		err = x.beginAnother(c)
	}
	if err != nil {
		if err := x.report(err); err != nil {
			return err
		}
	}
	x.out.finishBatch()
	return x.out.packets.err
}

// beginAnother begins a transaction if the end of one asks for that.
func (x *execution) beginAnother(c *cursor) error {
	c.bVarchar()
	if c.uint8()&1 == 0 || c.err != nil {
		return nil
	}
	return x.transaction("BEGIN")
}
