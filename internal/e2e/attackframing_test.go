//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// What is behind a message whose end two programs could see in different places
// is never taken for a request that the broker has not answered.
func TestAttackFraming(t *testing.T) {
	post := func(lines ...string) string {
		return "POST http://victim.test:{P}/first HTTP/1.1\r\nHost: x\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	// Hidden in a body or behind it: for the scoped service, whose key the
	// victim's other host would then see.
	const hidden = "GET /smuggled HTTP/1.1\r\nHost: scoped.test:{P}\r\n\r\n"
	smuggled := func(lines ...string) string { return post(append(lines, "Connection: close")...) }
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden)-len("{P}")+5, hidden)
	attacks(t, []attack{
		{name: "CL.TE", send: smuggled("Content-Length: 4", "Transfer-Encoding: chunked") + "0\r\n\r\n" + hidden, want: 400},
		{name: "TE.CL", send: smuggled("Transfer-Encoding: chunked", "Content-Length: 4") + chunk, want: 400},
		{name: "TE.TE", send: smuggled("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n" + hidden, want: 501},
		{name: "chunked twice", send: smuggled("Transfer-Encoding: chunked, chunked") + "0\r\n\r\n" + hidden, want: 501},
		{name: "chunked before identity", send: smuggled("Transfer-Encoding: chunked, identity") + hidden, want: 501},
		{name: "gzip before chunked", send: smuggled("Transfer-Encoding: gzip, chunked") + hidden, want: 501},
		{name: "unknown coding", send: smuggled("Transfer-Encoding: xchunked") + "0\r\n\r\n" + hidden, want: 501},
		{name: "coding in quotes", send: smuggled(`Transfer-Encoding: "chunked"`) + hidden, want: 501},
		{name: "coding behind a vertical tab", send: smuggled("Transfer-Encoding: \x0bchunked") + hidden, victim: -1},
		{name: "coding behind a line break", send: smuggled("Transfer-Encoding:\r\n chunked") + "0\r\n\r\n" + hidden, want: 400},
		{name: "blank before the colon of the coding", send: smuggled("Transfer-Encoding : chunked") + hidden, want: 400},
		{name: "coding with an underscore", send: smuggled("Transfer_Encoding: chunked", "Content-Length: 0"), want: 200, victim: 1},
		{name: "coding behind a bare carriage return", send: smuggled("X: y\rTransfer-Encoding: chunked") + hidden, want: 400},
		{name: "coding with HTTP/1.0", send: "POST http://victim.test:{P}/first HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + hidden, want: 400},
		{name: "two lengths", send: smuggled("Content-Length: 0", "Content-Length: 50") + hidden, want: 400},
		{name: "the same length twice", send: smuggled("Content-Length: 0", "Content-Length: 0"), want: 400},
		{name: "list of lengths", send: smuggled("Content-Length: 0, 0") + hidden, want: 400},
		{name: "negative length", send: smuggled("Content-Length: -1") + hidden, want: 400},
		{name: "length with a sign", send: smuggled("Content-Length: +0") + hidden, want: 400},
		{name: "length with a blank", send: smuggled("Content-Length: 0 0") + hidden, want: 400},
		{name: "hexadecimal length", send: smuggled("Content-Length: 0x0") + hidden, want: 400},
		{name: "length with zeros", send: smuggled("Content-Length: 00000000000000000000000"), want: 400},
		{name: "length beyond 64 bits", send: smuggled("Content-Length: 18446744073709551616") + hidden, want: 400},
		{name: "empty length", send: smuggled("Content-Length: ") + hidden, want: 400},
		{name: "negative chunk", send: smuggled("Transfer-Encoding: chunked") + "-1\r\n" + hidden, victim: -1},
		{name: "huge chunk", send: smuggled("Transfer-Encoding: chunked") + "FFFFFFFFFFFFFFFF1\r\n" + hidden, victim: -1},
		{name: "chunk with 0x", send: smuggled("Transfer-Encoding: chunked") + "0x0\r\n\r\n" + hidden, victim: -1},
		{name: "chunk with a blank", send: smuggled("Transfer-Encoding: chunked") + "0 1\r\n\r\n" + hidden, victim: -1},
		{name: "empty chunk size", send: smuggled("Transfer-Encoding: chunked") + "\r\n\r\n" + hidden, victim: -1},
		{name: "chunk with an extension", send: smuggled("Transfer-Encoding: chunked") + "1;a=b\r\nx\r\n0;c\r\n\r\n" + hidden, want: 200, victim: 1},
		{name: "chunk with a line feed in its extension", send: smuggled("Transfer-Encoding: chunked") + "1;a\nb\r\nx\r\n0\r\n\r\n" + hidden, victim: -1},
		{name: "chunk with a long extension", send: smuggled("Transfer-Encoding: chunked") + "1;" + strings.Repeat("a", 20<<10) + "\r\nx\r\n0\r\n\r\n" + hidden, victim: -1},
		{name: "chunks with bare line feeds", send: smuggled("Transfer-Encoding: chunked") + "1\nx\n0\n\n" + hidden, victim: -1},
		{name: "chunk that is too long", send: smuggled("Transfer-Encoding: chunked") + "1\r\nxyz\r\n0\r\n\r\n" + hidden, victim: -1},
		{name: "chunk without its end", send: smuggled("Transfer-Encoding: chunked") + "1\r\nx0\r\n\r\n" + hidden, victim: -1},
		{name: "framing in a trailer", send: smuggled("Transfer-Encoding: chunked", "Trailer: Content-Length") + "0\r\nContent-Length: 9\r\n\r\n" + hidden, victim: -1},
		{name: "lines with bare line feeds", send: "GET http://victim.test:{P}/first HTTP/1.1\nHost: x\nConnection: close\n\n" + hidden, want: 400},
		{name: "lines with bare carriage returns", send: "GET http://victim.test:{P}/first HTTP/1.1\rHost: x\r\r\n\r\n" + hidden, want: 400},
		{name: "length of a GET", send: "GET http://victim.test:{P}/first HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde" + hidden, want: 200, victim: 1},
		{name: "a body that looks like a request", send: smuggled(fmt.Sprintf("Content-Length: %d", len(hidden)-len("{P}")+5)) + hidden, want: 200, victim: 1},
		{name: "expectation", send: smuggled("Content-Length: 0", "Expect: 100-continue, x") + hidden, victim: -1},

		// Without "close": what comes behind is a request of its own, in the
		// form that a proxy does not answer.
		{name: "pipelined in origin form", send: "GET http://victim.test:{P}/first HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Replace(hidden, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), want: 200, victim: 1},
		{name: "pipelined to the attacker", send: "GET http://victim.test:{P}/first HTTP/1.1\r\nHost: x\r\n\r\n" + ask("http://attacker.test:{P}/second"), want: 200, victim: 1},
		{
			name: "pipelined to everybody", send: "GET http://victim.test:{P}/1 HTTP/1.1\r\nHost: x\r\n\r\nGET http://attacker.test:{P}/2 HTTP/1.1\r\nHost: x\r\n\r\n" +
				"GET http://scoped.test:{P}/v1 HTTP/1.1\r\nHost: x\r\n\r\nGET http://attacker.test:{P}/3 HTTP/1.1\r\nHost: x\r\n\r\nGET http://basic.test:{P}/4 HTTP/1.1\r\nHost: x\r\n\r\n" +
				ask("http://attacker.test:{P}/5"), want: 200, victim: 3,
		},
		{name: "pipelined behind a refusal", send: "GET /first HTTP/1.1\r\nHost: victim.test:{P}\r\n\r\n" + ask("http://attacker.test:{P}/second"), want: 400},
	})
}
