package sshagent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"secretless/internal/connector"
	"secretless/internal/wire/sshagentwire"
)

const (
	// messageTimeout bounds the rest of a message behind its length.
	messageTimeout = 30 * time.Second
	// answerTimeout bounds how long a client may take to read an answer.
	answerTimeout = 10 * time.Second
	// lastWords is what is left for an answer when the service stops.
	lastWords = time.Second
	// maxRefusals is after how many refused requests a connection ends: each
	// is a line in the log, which is not the client's to fill.
	maxRefusals = 100
)

// conversation is one client's connection. Between requests it holds a
// goroutine and no buffer.
type conversation struct {
	connector  *Connector
	session    *connector.Session
	spoken     bool // the first message was begun
	bindings   bindings
	signatures int
	refusals   int
}

// read returns the next message. The time between messages is the client's.
func (v *conversation) read(ctx context.Context) (sshagentwire.Message, error) {
	length, err := sshagentwire.ReadLength(v.session.Client)
	if err != nil {
		return sshagentwire.Message{}, err
	}
	v.spoken = true
	v.readUntil(ctx, time.Now().Add(messageTimeout))
	defer v.readUntil(ctx, time.Time{})
	return sshagentwire.ReadMessage(v.session.Client, length)
}

// readUntil sets the deadline for reads. The broker sets one in the past when
// ctx ends, which must win whichever comes first.
func (v *conversation) readUntil(ctx context.Context, deadline time.Time) {
	_ = v.session.Client.SetReadDeadline(deadline)
	if ctx.Err() != nil {
		_ = v.session.Client.SetReadDeadline(time.Unix(1, 0))
	}
}

func (v *conversation) write(ctx context.Context, answer []byte) error {
	_ = v.session.Client.SetWriteDeadline(time.Now().Add(answerTimeout))
	if ctx.Err() != nil {
		_ = v.session.Client.SetWriteDeadline(time.Now().Add(lastWords))
	}
	_, err := v.session.Client.Write(answer)
	return err
}

// end is what ServeConn returns for an error of read. Between messages the
// client may go, and the service may stop.
func (v *conversation) end(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, sshagentwire.ErrMalformed):
		failed := &connector.Failure{Kind: connector.KindProtocol, Err: err}
		if err := v.write(ctx, sshagentwire.Frame(sshagentwire.Failure)); err != nil {
			return errors.Join(failed, clientGone(err))
		}
		return failed
	case errors.Is(err, io.EOF), ctx.Err() != nil, !v.spoken:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &connector.Failure{Kind: connector.KindTimeout, Err: errors.New("the client did not finish its request in time")}
	}
	return &connector.Failure{Kind: connector.KindClientGone, Err: fmt.Errorf("reading from the client: %w", err)}
}

// answer is the framed answer to m. An error ends the connection after it.
func (v *conversation) answer(ctx context.Context, m sshagentwire.Message) ([]byte, error) {
	switch m.Type {
	case sshagentwire.RequestIdentities:
		return v.list(ctx)
	case sshagentwire.SignRequestMessage:
		return v.sign(ctx, m.Body)
	case sshagentwire.ExtensionMessage:
		return v.extension(m.Body)
	}
	v.session.Log.Info("refused: the keys of this agent cannot be changed by clients", "request", int(m.Type))
	return v.refuse(sshagentwire.Frame(sshagentwire.Failure))
}

// refuse answers with no, which has been logged, and bounds how often.
func (v *conversation) refuse(answer []byte) ([]byte, error) {
	if v.refusals++; v.refusals < maxRefusals {
		return answer, nil
	}
	return answer, &connector.Failure{Kind: connector.KindLimit, Err: fmt.Errorf("the client goes on although %d of its requests were refused", maxRefusals)}
}

// list answers with the keys that the connection could use.
func (v *conversation) list(ctx context.Context) ([]byte, error) {
	if err := v.barred(); err != nil {
		v.session.Log.Warn("no key is shown", "reason", err)
		return v.refuse(sshagentwire.Identities(nil))
	}
	found, err := v.connector.identities(ctx, v.session)
	if err != nil {
		return failure(err)
	}
	var shown []sshagentwire.Identity
	for _, id := range found {
		for _, key := range id.publics() {
			shown = append(shown, sshagentwire.Identity{Key: key.Marshal(), Comment: id.comment})
		}
	}
	return sshagentwire.Identities(shown), nil
}

func (v *conversation) extension(body []byte) ([]byte, error) {
	request, err := sshagentwire.ParseExtension(body)
	if err != nil {
		return malformed(err)
	}
	switch request.Name {
	case sshagentwire.Query:
		return sshagentwire.Extensions(sshagentwire.SessionBindName), nil
	case sshagentwire.SessionBindName:
		return v.bind(request.Contents)
	}
	return v.refuse(sshagentwire.Frame(sshagentwire.Failure))
}

func (v *conversation) bind(contents []byte) ([]byte, error) {
	request, err := sshagentwire.ParseSessionBind(contents)
	if err != nil {
		return malformed(err)
	}
	if err := v.bindings.add(request, v.connector.config.AllowForwarding); err != nil {
		v.session.Log.Warn("refused: nothing more is signed on this connection", "reason", err)
		return v.refuse(sshagentwire.Frame(sshagentwire.ExtensionFailure))
	}
	return sshagentwire.Frame(sshagentwire.Success), nil
}

// barred is why nothing can be signed on the connection as it is bound now.
// One that is not bound may still become so.
func (v *conversation) barred() error {
	if v.bindings.spoiled != nil || !v.connector.config.bound() {
		return v.bindings.spoiled
	}
	return v.bindings.among(v.connector.config.hosts)
}

// failure answers with a failure and ends the connection with err.
func failure(err error) ([]byte, error) { return sshagentwire.Frame(sshagentwire.Failure), err }

func malformed(err error) ([]byte, error) {
	return failure(&connector.Failure{Kind: connector.KindProtocol, Err: err})
}
