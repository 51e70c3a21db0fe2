package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// steady is one thread that asks on plain connections at a steady rate. A
// goroutine for each connection would cost more than what is measured: at half
// of a fast relay's rate the clients alone would fill the machine.
type steady struct {
	socks    []steadySock
	polled   []unix.PollFd
	free     []int       // connections that wait for nothing
	due      []time.Time // questions for which none was free
	took     []time.Duration
	question []byte
}

// steadySock is a connection, and the answer that is coming on it.
type steadySock struct {
	fd    int
	asked time.Time // when the question was due
	got   []byte
}

// steadyPlain is steady for connections without TLS and HTTP/2.
func (c httpClient) steadyPlain(ctx context.Context, clients int, rate float64, lasting time.Duration) (outcome, error) {
	s := &steady{}
	defer s.close()
	for range clients {
		if err := s.open(ctx, c); err != nil {
			return outcome{}, err
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	err := s.run(ctx, began, rate, lasting)
	return timedOutcome(s.took, time.Since(began)), err
}

func (s *steady) open(ctx context.Context, c httpClient) error {
	w, err := c.dialWire(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	raw, err := w.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	var dupErr error
	if err := raw.Control(func(orig uintptr) { fd, dupErr = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
		return err
	}
	if dupErr != nil {
		return dupErr
	}
	s.question = w.question
	s.free = append(s.free, len(s.socks))
	s.socks = append(s.socks, steadySock{fd: fd, got: make([]byte, 0, 4<<10)})
	s.polled = append(s.polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	return nil
}

func (s *steady) close() {
	for _, one := range s.socks {
		unix.Close(one.fd)
	}
}

// run asks until lasting is over and everything was answered.
func (s *steady) run(ctx context.Context, began time.Time, rate float64, lasting time.Duration) error {
	for n := 1; ; {
		now := time.Now()
		var next time.Time
		for {
			at := time.Duration(float64(n) / rate * float64(time.Second))
			if at >= lasting {
				break
			}
			if next = began.Add(at); next.After(now) {
				break
			}
			s.due = append(s.due, next)
			next = time.Time{}
			n++
		}
		if err := s.ask(); err != nil {
			return err
		}
		if next.IsZero() && len(s.due) == 0 && len(s.free) == len(s.socks) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.wait(next); err != nil {
			return err
		}
	}
}

// ask gives what is due to connections that are free.
func (s *steady) ask() error {
	for len(s.due) > 0 && len(s.free) > 0 {
		one := &s.socks[s.free[len(s.free)-1]]
		n, err := unix.Write(one.fd, s.question)
		if err != nil || n != len(s.question) {
			return fmt.Errorf("asking: %d bytes, %w", n, err)
		}
		one.asked, one.got = s.due[0], one.got[:0]
		s.due, s.free = s.due[1:], s.free[:len(s.free)-1]
	}
	return nil
}

// wait reads answers, until next at most; a zero time is a second from now.
func (s *steady) wait(next time.Time) error {
	pause := time.Second
	if !next.IsZero() {
		pause = max(time.Until(next), 0)
	}
	limit := unix.NsecToTimespec(int64(pause))
	n, err := unix.Ppoll(s.polled, &limit, nil)
	if err != nil && err != syscall.EINTR { //nolint:errorlint // an errno as it is
		return fmt.Errorf("waiting: %w", err)
	}
	for at := range s.polled {
		if n <= 0 {
			break
		}
		if s.polled[at].Revents != 0 {
			n--
			if err := s.read(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// read takes what has come, and notes the time once that is a whole answer.
func (s *steady) read(at int) error {
	one := &s.socks[at]
	n, err := unix.Read(one.fd, one.got[len(one.got):cap(one.got)])
	if err != nil || n == 0 {
		return fmt.Errorf("reading an answer: %d bytes, %w", n, err)
	}
	one.got = one.got[:len(one.got)+n]
	end := bytes.Index(one.got, []byte("\r\n\r\n"))
	if end < 0 || len(one.got) < end+4+smallBytes {
		return nil
	}
	head := one.got[:end+4]
	if !isSmallAnswer(head) || len(one.got) > end+4+smallBytes {
		return fmt.Errorf("%w: %.200q", errAnswer, head)
	}
	s.took = append(s.took, time.Since(one.asked))
	s.free = append(s.free, at)
	return nil
}
