package exec

import (
	"errors"
	"fmt"
	"strings"
)

// TemporaryFailure is the exit status (EX_TEMPFAIL of sysexits.h) by which a
// command says that another try may succeed.
const TemporaryFailure = 75

// notFound is what shells exit with when a program does not exist.
const notFound = 127

// Reasons for ending a command or refusing its answer.
var (
	ErrTooMuch = errors.New("command printed more than 1 MiB and was ended")
	ErrNothing = errors.New("command exited with status 0 and printed nothing")
)

// ExitError is a command that did not succeed.
type ExitError struct {
	// Status is the exit status, -1 if a signal ended the command.
	Status int
	Signal string
	// Unset are the variables of the instance's env that the broker lacks.
	Unset []string
}

// Error says how the command ended; what it wrote is in the log, since it may
// hold a secret.
func (e *ExitError) Error() string {
	text := fmt.Sprintf("command exited with status %d", e.Status)
	if e.Status < 0 {
		text = "command was ended by a signal (" + e.Signal + ")"
	}
	if e.Status == notFound {
		text += ", which often means a program that is not on its PATH"
	}
	text += "; the broker's log has what it wrote to standard error"
	if len(e.Unset) > 0 {
		text += "; not set in the broker's environment: " + strings.Join(e.Unset, ", ")
	}
	return text
}

// AnswerError is an answer that is not of the documented form. It does not
// repeat the answer, which may hold secrets.
type AnswerError struct {
	Offset  int // in bytes, from 0
	Problem string
}

// Error says where in the answer what is wrong.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("command's answer is wrong at byte %d: %s", e.Offset, e.Problem)
}

// MissingError is an answer without some of the ids.
type MissingError struct{ IDs []string }

// Error leaves out the ids, which stand in front of it.
func (e *MissingError) Error() string {
	return "command's answer has no value for this; check the id, and that the command may read it"
}

// missingOf are the ids that err is about.
func missingOf(err error) []string {
	if m, ok := errors.AsType[*MissingError](err); ok {
		return m.IDs
	}
	return nil
}
