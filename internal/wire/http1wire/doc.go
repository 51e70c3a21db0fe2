// Package http1wire reads and writes the messages of HTTP/1.1 (RFC 9112), for
// somebody who passes them on. It is strict where two programs could see the
// end of a head or of a body in different places: what has no single meaning is
// an error and is never mended.
package http1wire
