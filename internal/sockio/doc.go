// Package sockio reads and writes the connections of clients and targets that
// speak in small messages, with less help from Go's scheduler than package net
// takes.
package sockio
