//go:build linux

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// farEnd listens where a forwarded connection leads to. It sends back what it
// gets, and after the end of that, which it must see, a last word.
func farEnd(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var owned sync.WaitGroup
	owned.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			owned.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				if _, err := io.Copy(conn, conn); err == nil {
					_, _ = io.WriteString(conn, lastWord)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		owned.Wait()
	})
	return listener
}

const lastWord = "that was all"

// talk says something to farEnd through what listens at the address, ends its
// own side, and hears the rest.
func talk(network, address string) error {
	conn, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	return talkOn(conn)
}

func talkOn(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(patience))
	words := randomBytes(300_000)
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(words)
		closer, ok := conn.(interface{ CloseWrite() error })
		if ok {
			err = errors.Join(err, closer.CloseWrite())
		}
		sent <- err
	}()
	heard, err := io.ReadAll(conn)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if want := append(words, lastWord...); !bytes.Equal(heard, want) {
		return fmt.Errorf("%d bytes came back of %d", len(heard), len(want))
	}
	return nil
}

// talkBySOCKS does the same through a SOCKS 5 proxy.
func talkBySOCKS(proxy string, to net.Addr) error {
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := []byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1}
	request = binary.BigEndian.AppendUint16(request, uint16(to.(*net.TCPAddr).Port))
	if _, err := conn.Write(request); err != nil {
		return err
	}
	answer := make([]byte, 2+10)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if answer[3] != 0 {
		return fmt.Errorf("the proxy answers %d", answer[3])
	}
	return talkOn(conn)
}

func randomBytes(n int) []byte {
	seed := [32]byte{byte(n), byte(n >> 8), byte(n >> 16)}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}
