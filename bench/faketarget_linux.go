package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// fakeTarget speaks as much PostgreSQL as a relay needs to believe in it, and
// trusts everyone. It holds any number of idle sessions, and takes or gives
// bulk data without doing anything with it. Its queries are "sink N" and
// "source N"; anything else is answered as an empty query.
//
// The bulk is a row of CopyData messages, so that PgBouncer, which looks into
// the stream, passes it as well.
type fakeTarget struct {
	listening // without a process
	listeners []net.Listener
	owned     sync.WaitGroup
	mu        sync.Mutex
	conns     map[net.Conn]struct{}
	closed    bool
}

// startFakeTarget listens on a port and on the unix socket that belongs to it.
func startFakeTarget(dir string) (*fakeTarget, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the fake target's directory: %w", err)
	}
	tcp, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("the fake target: %w", err)
	}
	port := tcp.Addr().(*net.TCPAddr).Port
	// The password is never asked for, but relays that log in insist on one.
	f := &fakeTarget{conns: map[net.Conn]struct{}{}, listening: listening{
		connector: "pg", port: port, socket: socketPath(dir, port), password: "not-asked-for",
	}}
	unix, err := net.Listen("unix", f.socket)
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("the fake target: %w", err)
	}
	f.listeners = []net.Listener{tcp, unix}
	for _, listener := range f.listeners {
		f.owned.Go(func() { f.accept(listener) })
	}
	return f, nil
}

// startFakeServer starts it in the run's directory.
func startFakeServer(_ context.Context, b *bench) (server, error) {
	return startFakeTarget(filepath.Join(b.dir, "fake"))
}

// stop ends every session and waits for them.
func (f *fakeTarget) stop() {
	f.mu.Lock()
	f.closed = true
	for _, listener := range f.listeners {
		listener.Close()
	}
	for conn := range f.conns {
		conn.Close()
	}
	f.mu.Unlock()
	f.owned.Wait()
}

func (f *fakeTarget) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if !f.hold(conn) {
			conn.Close()
			return
		}
		f.owned.Go(func() {
			defer f.release(conn)
			// A relay that gives up ends its session; who measures notices.
			_ = serveFake(conn)
		})
	}
}

func (f *fakeTarget) hold(conn net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.conns[conn] = struct{}{}
	}
	return !f.closed
}

func (f *fakeTarget) release(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, conn)
	conn.Close()
}

// serveFake is one session from its first byte to its last.
func serveFake(conn net.Conn) error {
	backend := pgproto3.NewBackend(conn, conn)
	if err := greet(conn, backend); err != nil {
		return err
	}
	for {
		message, err := backend.Receive()
		if err != nil {
			return err
		}
		switch message := message.(type) {
		case *pgproto3.Query:
			err = answer(conn, backend, message.String)
		case *pgproto3.Sync:
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			err = backend.Flush()
		case *pgproto3.Terminate:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// greet refuses encryption, takes the startup message and trusts.
func greet(conn net.Conn, backend *pgproto3.Backend) error {
	for {
		message, err := backend.ReceiveStartupMessage()
		if err != nil {
			return err
		}
		switch message.(type) {
		case *pgproto3.SSLRequest, *pgproto3.GSSEncRequest:
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return err
			}
		case *pgproto3.StartupMessage:
			backend.Send(&pgproto3.AuthenticationOk{})
			for _, status := range [][2]string{
				{"server_version", "15.0"},
				{"server_encoding", "UTF8"},
				{"client_encoding", "UTF8"},
				{"DateStyle", "ISO, MDY"},
				{"TimeZone", "UTC"},
				{"integer_datetimes", "on"},
				{"standard_conforming_strings", "on"},
			} {
				backend.Send(&pgproto3.ParameterStatus{Name: status[0], Value: status[1]})
			}
			backend.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
			backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			return backend.Flush()
		default:
			return errors.New("not a startup message")
		}
	}
}

func answer(conn net.Conn, backend *pgproto3.Backend, query string) error {
	var size int64
	if _, err := fmt.Sscanf(query, "sink %d", &size); err == nil {
		return sink(conn, backend, size)
	}
	if _, err := fmt.Sscanf(query, "source %d", &size); err == nil {
		return source(conn, size)
	}
	backend.Send(&pgproto3.EmptyQueryResponse{})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return backend.Flush()
}

// sink takes size bytes and a CopyDone. Nothing of them can be in the backend's
// buffer: the client waits for the CopyInResponse.
func sink(conn net.Conn, backend *pgproto3.Backend, size int64) error {
	backend.Send(&pgproto3.CopyInResponse{})
	if err := backend.Flush(); err != nil {
		return err
	}
	if err := discard(conn, size+copyDoneBytes); err != nil {
		return err
	}
	backend.Send(&pgproto3.CommandComplete{CommandTag: []byte("COPY 0")})
	backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return backend.Flush()
}

// source gives size bytes between sourceHead and sourceTail.
func source(conn net.Conn, size int64) error {
	if _, err := conn.Write(sourceHead()); err != nil {
		return err
	}
	if err := pour(context.Background(), conn, size); err != nil {
		return err
	}
	_, err := conn.Write(sourceTail())
	return err
}

// discard reads size bytes and forgets them.
func discard(conn net.Conn, size int64) error {
	buffer := make([]byte, pourBytes)
	for size > 0 {
		n, err := conn.Read(buffer[:min(size, pourBytes)])
		size -= int64(n)
		if err != nil && size > 0 {
			return fmt.Errorf("%d bytes are missing: %w", size, io.ErrUnexpectedEOF)
		}
	}
	return nil
}
