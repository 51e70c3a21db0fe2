package sockio_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretless/internal/sockio"
)

// pair is a connection of network, and its other end.
func pair(t *testing.T, network string) (near, far net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far
}

func eachNetwork(t *testing.T, f func(t *testing.T, near, far net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			near, far := pair(t, network)
			f(t, near, far)
		})
	}
}

func TestEverythingArrivesInOrder(t *testing.T) {
	eachNetwork(t, func(t *testing.T, near, far net.Conn) {
		sent := make([]byte, 8<<20)
		_, _ = rand.Read(sent)
		echoed := make(chan error, 1)
		go func() { // both directions are full at times
			_, err := io.Copy(far, far)
			echoed <- errors.Join(err, far.(interface{ CloseWrite() error }).CloseWrite())
		}()
		s := sockio.Of(near)
		written := make(chan error, 1)
		go func() {
			n, err := s.Write(sent)
			if n != len(sent) {
				err = errors.Join(err, io.ErrShortWrite)
			}
			written <- errors.Join(err, near.(interface{ CloseWrite() error }).CloseWrite())
		}()
		got, err := io.ReadAll(s)
		if err := errors.Join(err, <-written, <-echoed); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came back that are not the %d that were sent", len(got), len(sent))
		}
		if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("after the end: %d, %v", n, err)
		}
	})
}

func TestReadGivesWhatThereIs(t *testing.T) {
	eachNetwork(t, func(t *testing.T, near, far net.Conn) {
		s := sockio.Of(near)
		if n, err := s.Read(nil); n != 0 || err != nil {
			t.Fatalf("a read of nothing: %d, %v", n, err)
		}
		if _, err := far.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 3)
		for _, want := range []string{"hel", "lo"} {
			if n, err := s.Read(b); err != nil || string(b[:n]) != want {
				t.Fatalf("%q, %v", b[:n], err)
			}
		}
	})
}

func TestDeadlines(t *testing.T) {
	eachNetwork(t, func(t *testing.T, near, far net.Conn) {
		s := sockio.Of(near)
		_ = near.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := s.Read(make([]byte, 1))
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "read "+near.LocalAddr().Network()) {
			t.Fatalf("reading: %d, %v", n, err)
		}
		_ = near.SetReadDeadline(time.Time{})
		if _, err := far.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("reading after the deadline was taken back: %d, %v", n, err)
		}
		written := make(chan struct{})
		go func() {
			defer close(written)
			n, err = s.Write(make([]byte, 64<<20)) // more than the system keeps
		}()
		if _, err := far.Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
		_ = near.SetWriteDeadline(time.Now())
		<-written
		if n == 0 || n == 64<<20 || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "write "+near.LocalAddr().Network()) {
			t.Fatalf("writing: %d, %v", n, err)
		}
	})
}

func TestCloseWakesTheReader(t *testing.T) {
	eachNetwork(t, func(t *testing.T, near, _ net.Conn) {
		s := sockio.Of(near)
		read := make(chan error)
		go func() {
			_, err := s.Read(make([]byte, 1))
			read <- err
		}()
		near.Close() // before or while it reads: the same error
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestTheOtherEndIsGone(t *testing.T) {
	near, far := pair(t, "tcp")
	s := sockio.Of(near)
	_ = far.(*net.TCPConn).SetLinger(0)
	far.Close()
	_, err := s.Read(make([]byte, 1))
	op, ok := errors.AsType[*net.OpError](err)
	if !errors.Is(err, syscall.ECONNRESET) || !ok || op.Op != "read" || op.Addr != near.RemoteAddr() {
		t.Fatalf("reading: %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("writing: %v", err)
	}
}

func TestWhatIsNoSocketIsItself(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if s := sockio.Of(near); s != io.ReadWriter(near) {
		t.Fatalf("%T", s)
	}
}

func TestConnIsAWholeConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, near, far net.Conn) {
		c := sockio.Conn(near)
		if sockio.Socket(c) != near || sockio.Conn(c) != c {
			t.Fatal("wrapping again, or taking the wrapping off, gives another connection")
		}
		if _, err := c.Write([]byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(far); err != nil || string(got) != "last" {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := c.(syscall.Conn).SyscallConn(); err != nil {
			t.Fatal(err)
		}
	})
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if sockio.Conn(near) != near || sockio.Socket(near) != near {
		t.Fatal("what is no socket was wrapped")
	}
}
