// Package http1 moves the messages of HTTP/1.1 between clients and targets: a
// server for one connection after the other, and connections to targets that
// are kept. Both speak net/http's types, so that what decides about a request
// does not know whether they or that library have read it.
//
// A request without a body costs no goroutine, timer or context of its own:
// whoever reads it writes it to the target, waits, and writes the answer.
package http1
