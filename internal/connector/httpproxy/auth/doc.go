// Package auth is the contract between the HTTP forward proxy and what adds
// credentials to its requests. An authenticator lives in a folder of its own
// beside this one, and its Definition goes through httpproxy.Define into the
// table of connectors.
//
// # The way of a request
//
// The proxy finds the one service that a request's method and URL belong to,
// and with it the origin that will be dialled. From these two it makes a
// Request, which is the only thing that can show a secret to an authenticator:
// its origin cannot be changed, and the transport dials the origin of the
// Request it is given, never what a header or URL says. So a credential cannot
// go anywhere else, whatever an authenticator or a client does.
//
// What an authenticator wants to add it says through the methods of Request,
// which replace what the client sent under that name, refuse what could break
// out of a header, and note what must not be echoed to the client.
package auth
