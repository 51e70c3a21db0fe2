package tdsserver

import "fmt"

// sqlError is what the ERROR token carries. Numbers, classes, states and texts
// are those of SQL Server.
type sqlError struct {
	number  int32
	class   byte
	state   byte
	message string
}

func (e sqlError) Error() string { return fmt.Sprintf("error %d: %s", e.number, e.message) }

// fatalClass is the class from which on the server closes the connection.
const fatalClass = 20

func syntaxError(near token) error {
	return sqlError{102, 15, 1, fmt.Sprintf("Incorrect syntax near '%s'.", near.text)}
}
