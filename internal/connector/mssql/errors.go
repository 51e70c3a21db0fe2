package mssql

import (
	"bytes"
	"fmt"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/tds"
)

// TargetError is the target's own refusal, and the Native of a Failure. It goes
// to the client byte for byte, with all that the target sent beside it.
type TargetError struct {
	tds.ServerError
	raw []byte
}

// Error is the target's text, made harmless for a log.
func (e *TargetError) Error() string {
	return fmt.Sprintf("%s (error %d, state %d, class %d)", database.Quote(e.Message), e.Number, e.State, e.Class)
}

// The numbers of the broker's own errors. Where SQL Server or a driver has one
// of the same meaning it is used, so that drivers which try again after
// passing troubles do; the others are of the range for users' own messages.
const (
	numberInternal    = 50000
	numberCredentials = 50001
	numberConfig      = 50002
	numberTLS         = 50003
	numberProtocol    = 50004
	numberTarget      = 50005
	numberUnsupported = 50006
	numberPrelogin    = 17828 // the PRELOGIN packet is structurally invalid
	numberLogin       = 17832 // the login packet is structurally invalid
	numberLoginFailed = 18456
	numberLost        = 10054 // WSAECONNRESET
	numberTimeout     = 10060 // WSAETIMEDOUT
	numberConnect     = 10061 // WSAECONNREFUSED
	numberResolve     = 11001 // WSAHOST_NOT_FOUND
	numberLimit       = 10928 // the limit has been reached
	numberStopping    = 40613 // not currently available, try again later
)

const (
	classLogin = 14 // what the user can mend
	classFatal = 20 // the connection ends; severities from 20 do
)

// numberOf is the number and the class that a client gets for a failure of the
// broker's own.
func numberOf(kind connector.Kind) (number int32, class byte) {
	switch kind {
	case connector.KindCredentials:
		return numberCredentials, classLogin
	case connector.KindConfig:
		return numberConfig, classLogin
	case connector.KindTarget:
		return numberTarget, classLogin
	case connector.KindRejected, connector.KindDenied:
		return numberLoginFailed, classLogin
	case connector.KindResolve:
		return numberResolve, classFatal
	case connector.KindConnect:
		return numberConnect, classFatal
	case connector.KindTLS:
		return numberTLS, classFatal
	case connector.KindTimeout:
		return numberTimeout, classFatal
	case connector.KindTargetLost:
		return numberLost, classFatal
	case connector.KindProtocol:
		return numberProtocol, classFatal
	case connector.KindLimit:
		return numberLimit, classFatal
	case connector.KindStopping:
		return numberStopping, classFatal
	}
	return numberInternal, classFatal
}

// codedError is a failure with a number other than its kind's.
type codedError struct {
	number int32
	text   string
}

func (e *codedError) Error() string { return e.text }

func coded(number int32, kind connector.Kind, text string) error {
	return &connector.Failure{Kind: kind, Err: &codedError{number, text}}
}

// kindOf is the kind of a target's refusal. SQL Server sends 18456 behind other
// errors too, so the first decides.
func kindOf(number int32) connector.Kind {
	switch number {
	case 18456, // login failed
		18487, 18488: // the password has expired, or must be changed
		return connector.KindRejected
	case 18452, // an untrusted domain: no SQL login
		18470, // the login is disabled
		18486: // the login is locked out
		return connector.KindDenied
	}
	return connector.KindTarget
}

// refused is the failure for an answer without LOGINACK.
func (l *login) refused(m tds.Message, answer tds.LoginResponse) error {
	address := l.plan.Address
	switch {
	case len(answer.Errors) > 0:
	case answer.Challenge == tds.TokenSSPI:
		return database.Failure(connector.KindTarget, "logging in: the target %s asks for Windows authentication; it must allow SQL logins (mixed mode)", address)
	case answer.Challenge == tds.TokenFedAuthInfo:
		return database.Failure(connector.KindTarget, "logging in: the target %s asks for federated authentication; it must allow SQL logins", address)
	default:
		return database.ProtocolError("logging in: the target %s answered with neither LOGINACK nor an error", address)
	}
	first := answer.Errors[0]
	kind := kindOf(first.Number)
	if l.repeatsPassword(m.Body) {
		return coded(first.Number, kind, fmt.Sprintf("logging in: the target %s refused with an error that repeats the password, which is withheld", address))
	}
	native := &TargetError{ServerError: first, raw: append([]byte(nil), m.Raw...)}
	return &connector.Failure{Kind: kind, Err: fmt.Errorf("the target %s refused the login: %w", address, native), Native: native}
}

// repeatsPassword looks for the password in what a target sent: as text, as
// LOGIN7 has it, and as the provider does.
func (l *login) repeatsPassword(body []byte) bool {
	password := l.settings.password.Bytes()
	obfuscated, err := tds.ObfuscatePassword(password)
	if err != nil {
		return false
	}
	text := tds.RevealPassword(obfuscated)
	defer clear(obfuscated)
	defer clear(text)
	return bytes.Contains(body, text) || bytes.Contains(body, obfuscated) || bytes.Contains(body, password)
}
