package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	copyDoneBytes = 5
	// rawMessageBytes is a CopyData message with its header, pourBytes what is
	// handed to one write and one read: larger than any relay's buffer, so that
	// the relay decides how much it takes at a time.
	rawMessageBytes = 16 << 10
	pourBytes       = 16 * rawMessageBytes
)

// rawLoad moves size bytes to or from the fake target.
func rawLoad(ctx context.Context, e endpoint, size int64, upload bool) (outcome, error) {
	session, err := openRaw(ctx, e)
	if err != nil {
		return outcome{}, err
	}
	defer session.Conn.Close()
	defer context.AfterFunc(ctx, func() { session.Conn.Close() })()
	if err := session.Conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return outcome{}, err
	}
	began := time.Now()
	if upload {
		err = rawUpload(ctx, session, size)
	} else {
		err = rawDownload(session, size)
	}
	return outcome{work: float64(size), duration: time.Since(began)}, err
}

// openRaw logs in and takes the connection out of the driver's hands.
func openRaw(ctx context.Context, e endpoint) (*pgconn.HijackedConn, error) {
	conn, err := pgConnect(ctx, e)
	if err != nil {
		return nil, err
	}
	return conn.Hijack()
}

func rawUpload(ctx context.Context, session *pgconn.HijackedConn, size int64) error {
	session.Frontend.SendQuery(&pgproto3.Query{String: fmt.Sprintf("sink %d", size)})
	if err := session.Frontend.Flush(); err != nil {
		return err
	}
	if err := receiveUntil[*pgproto3.CopyInResponse](session.Frontend); err != nil {
		return err
	}
	if err := pour(ctx, session.Conn, size); err != nil {
		return err
	}
	session.Frontend.Send(&pgproto3.CopyDone{})
	if err := session.Frontend.Flush(); err != nil {
		return err
	}
	return receiveUntil[*pgproto3.ReadyForQuery](session.Frontend)
}

// rawDownload counts bytes instead of reading messages: the driver's reader
// would be what is measured.
func rawDownload(session *pgconn.HijackedConn, size int64) error {
	session.Frontend.SendQuery(&pgproto3.Query{String: fmt.Sprintf("source %d", size)})
	if err := session.Frontend.Flush(); err != nil {
		return err
	}
	return discard(session.Conn, size+int64(len(sourceHead())+len(sourceTail())))
}

func receiveUntil[M pgproto3.BackendMessage](frontend *pgproto3.Frontend) error {
	for {
		message, err := frontend.Receive()
		if err != nil {
			return err
		}
		if refusal, ok := message.(*pgproto3.ErrorResponse); ok {
			return pgconn.ErrorResponseToPgError(refusal)
		}
		if _, ok := message.(M); ok {
			return nil
		}
	}
}

// pour writes size bytes, a multiple of rawMessageBytes, as CopyData messages.
func pour(ctx context.Context, conn net.Conn, size int64) error {
	message, err := (&pgproto3.CopyData{Data: make([]byte, rawMessageBytes-5)}).Encode(nil)
	if err != nil {
		return err
	}
	buffer := make([]byte, 0, pourBytes)
	for len(buffer) < pourBytes {
		buffer = append(buffer, message...)
	}
	for size > 0 && ctx.Err() == nil {
		n, err := conn.Write(buffer[:min(size, pourBytes)])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return ctx.Err()
}

// sourceHead is what the fake target says before the bulk, and sourceTail
// after it. Their encoding cannot fail: they have no field of variable length.
func sourceHead() []byte { return encode(&pgproto3.CopyOutResponse{}) }

func sourceTail() []byte {
	return encode(&pgproto3.CopyDone{},
		&pgproto3.CommandComplete{CommandTag: []byte("COPY 0")},
		&pgproto3.ReadyForQuery{TxStatus: 'I'})
}

func encode(messages ...pgproto3.BackendMessage) []byte {
	var encoded []byte
	for _, message := range messages {
		if longer, err := message.Encode(encoded); err == nil {
			encoded = longer
		}
	}
	return encoded
}
