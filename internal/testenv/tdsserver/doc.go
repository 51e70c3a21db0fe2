// Package tdsserver is a target that speaks TDS 7.1 to 8.0 as SQL Server 2022
// does ([MS-TDS]): logins with their errors, every way of encryption, routing,
// requests, cancellation. It has no SQL engine but a handful of statements, all
// of which mean the same to the real one. Only tests and benchmarks use it.
//
// Packet headers, PRELOGIN and TLS inside it are read with the project's codec. LOGIN7 and the
// tokens are written here a second time on purpose, from the specification and
// checked with independent clients: a mistake of the codec must not be met by
// the same mistake on the other side.
package tdsserver
