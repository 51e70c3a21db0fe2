package httpproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"secretless/internal/connector/httpproxy/message"
	"secretless/internal/wire/http1wire"
)

// upgrade hands a connection that both sides have changed to another protocol
// (WebSocket) over to two copiers.
func (x *exchange) upgrade(resp *message.Response, hidden []string) {
	target, ok := resp.Body.(io.ReadWriteCloser)
	got := upgradeOf(resp.Fields)
	if !ok || got == "" || !strings.EqualFold(x.upgrading, got) {
		x.tell(&problem{http.StatusBadGateway, "http_protocol_error", "the target changed to a protocol that the client did not ask for"})
		return
	}
	conn, early, err := x.w.Hijack()
	if err != nil {
		x.tell(&problem{http.StatusBadGateway, "http_protocol_error", "this connection cannot change its protocol"})
		return
	}
	x.shared = true
	defer x.stage.finish(nil)
	x.answered, x.status = true, resp.Code
	removeHopByHop(&resp.Fields)
	newHider(hidden).fields(resp.Fields)
	resp.Fields.Add("Connection", "Upgrade")
	resp.Fields.Add("Upgrade", got)
	head, err := http1wire.AppendFields([]byte("HTTP/1.1 101 Switching Protocols\r\n"), resp.Fields, func(string) bool { return false })
	if err != nil {
		return
	}
	if _, err := conn.Write(append(head, "\r\n"...)); err != nil {
		return
	}
	x.relay(conn, target, early)
}

// relay copies in both directions until both have ended or the session does,
// which the broker ends when nothing moves for the service's idle timeout.
func (x *exchange) relay(client net.Conn, target io.ReadWriteCloser, ahead []byte) {
	ctx := x.life
	defer func() { _ = target.Close() }()
	stop := func() {
		_ = target.Close()
		_ = client.Close()
	}
	defer context.AfterFunc(ctx, stop)()
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := target.Write(ahead); err != nil {
			stop()
			return
		}
		x.pump(target, client, stop, nil)
	})
	x.pump(client, target, stop, &x.toClient)
	both.Wait()
}

// pump copies one direction and passes its end on.
func (x *exchange) pump(to io.Writer, from io.Reader, stop func(), count *int64) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := from.Read(*buf)
		if n > 0 {
			if _, werr := to.Write((*buf)[:n]); werr != nil {
				stop()
				return
			}
			if count != nil {
				*count += int64(n)
			}
		}
		if err == nil {
			continue
		}
		half, ok := to.(interface{ CloseWrite() error })
		if err != io.EOF || !ok || half.CloseWrite() != nil {
			stop()
		}
		return
	}
}

// CloseWrite ends what is sent to the client.
func (st *stage) CloseWrite() error {
	if half, ok := st.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
