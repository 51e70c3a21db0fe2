package mssql

import (
	"errors"
	"fmt"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/wire/tds"
)

// response is what a client that speaks version, 0 if that is not known, is
// sent for err; nil where nothing can be sent.
func response(s *connector.Session, err error, version uint32) []byte {
	f := database.ToTell(err)
	if f == nil {
		return nil
	}
	if native, ok := f.Native.(*TargetError); ok {
		return native.raw
	}
	number, class := numberOf(f.Kind)
	if own, ok := errors.AsType[*codedError](f.Err); ok {
		number = own.number
	}
	wide := version == 0 || tds.Wide(version)
	body := tds.ServerError{
		Number: number, State: 1, Class: class,
		Message:    fmt.Sprintf("secretless: %s (service %s, connection %d)", database.Clean(f.Error()), database.Clean(s.Service), s.ID),
		ServerName: "secretless",
		LineNumber: 1,
	}.Append(nil, tds.TokenError, wide)
	body = tds.AppendDone(body, tds.TokenDone, tds.DoneError, 0, 0, wide)
	return tds.AppendMessage(nil, tds.TypeReply, 0, tds.LoginPacketSize, body)
}
