package mssql

import (
	"secretless/internal/wire/tds"
)

// supposedVersion is the version of SQL Server 2022 in PRELOGIN's form: what
// clients are told until a target has said its own.
var supposedVersion = [6]byte{16, 0, 0x03, 0xE8, 0, 0}

// facts is what a client must be told of the target in answer to PRELOGIN.
type facts struct {
	version [6]byte
	// mars is true where the target has several active result sets.
	mars bool
}

// readFacts is what a target says in answer to a client that asked for MARS or
// did not: one that was not asked says nothing about it.
func readFacts(answer tds.Prelogin, asked bool, before facts) facts {
	if version, ok := answer.Get(tds.OptionVersion); ok {
		copy(before.version[:], version)
	}
	if asked {
		before.mars = answer.MARS()
	}
	return before
}

// learn keeps what the target said for the next client.
func (c *Connector) learn(answer tds.Prelogin, asked bool) {
	before := c.learned.Load()
	if now := readFacts(answer, asked, *before); now != *before {
		c.learned.Store(&now)
	}
}

// answer is the PRELOGIN that a client gets.
func (f facts) answer(client tds.Prelogin, encryption tds.Encryption) tds.Prelogin {
	out := tds.Prelogin{
		{Option: tds.OptionVersion, Data: f.version[:]},
		{Option: tds.OptionEncryption, Data: []byte{byte(encryption)}},
		{Option: tds.OptionInstance, Data: []byte{0}}, // the instance is the right one
		{Option: tds.OptionThreadID},
	}
	if _, asked := client.Get(tds.OptionMARS); asked {
		mars := byte(0)
		if f.mars && client.MARS() {
			mars = 1
		}
		out = append(out, tds.PreloginOption{Option: tds.OptionMARS, Data: []byte{mars}})
	}
	return out
}

// question is the PRELOGIN that the target gets for a client's: neither
// federated authentication nor its nonce, which are for logins of the client's
// own.
func question(client tds.Prelogin, mars bool, encryption tds.Encryption) tds.Prelogin {
	version, ok := client.Get(tds.OptionVersion)
	if !ok {
		version = make([]byte, 6)
	}
	out := tds.Prelogin{
		{Option: tds.OptionVersion, Data: version},
		{Option: tds.OptionEncryption, Data: []byte{byte(encryption)}},
		{Option: tds.OptionInstance, Data: []byte{0}},
	}
	if thread, ok := client.Get(tds.OptionThreadID); ok && len(thread) == 4 {
		out = append(out, tds.PreloginOption{Option: tds.OptionThreadID, Data: thread})
	}
	asks := byte(0)
	if mars {
		asks = 1
	}
	out = append(out, tds.PreloginOption{Option: tds.OptionMARS, Data: []byte{asks}})
	if trace, ok := client.Get(tds.OptionTraceID); ok && len(trace) == 36 {
		out = append(out, tds.PreloginOption{Option: tds.OptionTraceID, Data: trace})
	}
	return out
}
