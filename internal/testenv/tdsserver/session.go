package tdsserver

import (
	"context"
	"io"
	"net"
	"time"

	"secretless/internal/wire/tds"
)

// session is a connection that has logged in. Only its own goroutine touches
// it; the one that reads requests knows the stream alone.
type session struct {
	server    *Server
	conn      net.Conn      // for deadlines
	stream    io.ReadWriter // TLS or the connection
	login     Login
	version   uint32
	encrypted bool

	user, database, loginDatabase string
	language                      string
	packetSize                    int
	spid                          uint16
	transactions                  int    // depth
	transaction                   uint64 // number of the latest
	prepared                      map[int64]prepared
	handles                       int64
}

// Write sends to the client, which must not keep the server waiting for ever.
func (s *session) Write(b []byte) (int, error) {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return s.stream.Write(b)
}

func (s *session) response(packetSize int) *response {
	return &response{session: s, packets: &packetWriter{dst: s, size: packetSize, spid: s.spid}}
}

// request is a message with the context that an ATTENTION behind it ends.
type request struct {
	message
	ctx    context.Context
	cancel context.CancelFunc
}

// run answers requests until the client or the server ends.
func (s *session) run() {
	ctx, stop := context.WithCancel(s.server.ctx)
	requests := make(chan request)
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(ctx, requests)
	}()
	r := s.response(s.packetSize)
	for m := range requests {
		if err := s.handle(m, r); err != nil {
			break
		}
	}
	stop()
	_ = s.conn.Close()
	<-read
}

// read passes requests on. It sees an ATTENTION while the request before it
// runs, and ends that request; the ATTENTION itself waits for its turn.
func (s *session) read(ctx context.Context, requests chan<- request) {
	defer close(requests)
	last := func() {}
	defer func() { last() }()
	for {
		m, err := readMessage(s.stream, maxRequest)
		if err != nil {
			return
		}
		if m.kind == tds.TypeAttention {
			last()
		}
		r := request{message: m}
		r.ctx, r.cancel = context.WithCancel(ctx)
		last = r.cancel
		select {
		case requests <- r:
		case <-ctx.Done():
			return
		}
	}
}

// handle answers one request. One that an ATTENTION ended has an answer that
// ends in an error; the acknowledgement is a message of its own, as with the
// real one, and some clients count on that.
func (s *session) handle(m request, r *response) error {
	defer m.cancel()
	r.pending, r.failed, r.inProcedure = false, false, false
	if m.kind == tds.TypeAttention {
		r.packets.write(doneToken(tokenDone, doneAttention, 0, s.version))
		return r.packets.end()
	}
	if m.status&tds.StatusIgnore != 0 {
		r.packets.write(doneToken(tokenDone, doneError, 0, s.version))
		return r.packets.end()
	}
	if m.status&(tds.StatusReset|tds.StatusResetKeepTran) != 0 {
		s.reset(m.status&tds.StatusResetKeepTran != 0, r)
	}
	x := &execution{ctx: m.ctx, out: r, scope: scope{session: s}}
	err := x.run(m.message)
	switch {
	case r.packets.err != nil:
		return r.packets.err
	case err == errClosed:
		_ = r.packets.end()
		return err
	case err != nil && m.ctx.Err() != nil:
		r.packets.write(doneToken(tokenDone, doneError, 0, s.version))
	case err != nil:
		return err
	}
	return r.packets.end()
}

// reset gives the session back the state that it had after its login.
func (s *session) reset(keepTransaction bool, r *response) {
	if !keepTransaction {
		s.transactions = 0
	}
	clear(s.prepared)
	r.packets.write(envChangeBytes(envReset, nil, nil))
	if s.database != s.loginDatabase {
		r.packets.write(envChangeText(envDatabase, s.loginDatabase, s.database))
		s.database = s.loginDatabase
	}
}
