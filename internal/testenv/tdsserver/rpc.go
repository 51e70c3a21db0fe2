package tdsserver

import (
	"fmt"
	"strings"
)

// call is one procedure call of an RPC request, [MS-TDS] 2.2.6.6.
type procedureCall struct {
	name   string // lower case
	params []parameter
}

type parameter struct {
	name   string // lower case, with its @
	output bool
	value  value
}

// procedureNames are the procedures that clients may name by a number.
var procedureNames = map[uint16]string{
	1: "sp_cursor", 2: "sp_cursoropen", 3: "sp_cursorprepare", 4: "sp_cursorexecute", 5: "sp_cursorprepexec",
	6: "sp_cursorunprepare", 7: "sp_cursorfetch", 8: "sp_cursoroption", 9: "sp_cursorclose", 10: "sp_executesql",
	11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 14: "sp_prepexecrpc", 15: "sp_unprepare",
}

const (
	procedureByNumber = 0xFFFF
	paramByReference  = 0x01
	// What stands between two calls of one request, now and before TDS 7.2.
	batchSeparator    = 0xFF
	batchSeparatorOld = 0x80
)

// parseRPC reads all calls of a request behind its ALL_HEADERS.
func parseRPC(c *cursor) ([]procedureCall, error) {
	var calls []procedureCall
	for len(c.data) > 0 && c.err == nil {
		calls = append(calls, c.procedureCall())
	}
	return calls, c.err
}

func (c *cursor) procedureCall() procedureCall {
	var p procedureCall
	if n := c.uint16(); n == procedureByNumber {
		id := c.uint16()
		if p.name = procedureNames[id]; p.name == "" {
			p.name = fmt.Sprintf("procedure %d", id)
		}
	} else {
		p.name = strings.ToLower(decodeUTF16(c.bytes(2 * int(n))))
		p.name = p.name[strings.LastIndex(p.name, ".")+1:]
	}
	c.uint16() // option flags: recompile, no metadata
	for len(c.data) > 0 && c.err == nil {
		if c.data[0] == batchSeparator || c.data[0] == batchSeparatorOld {
			c.uint8()
			break
		}
		name := strings.ToLower(c.bVarchar())
		output := c.uint8()&paramByReference != 0
		p.params = append(p.params, parameter{name, output, c.parameter()})
	}
	return p
}
