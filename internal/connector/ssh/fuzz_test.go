package ssh

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// script is a fuzzer's input, read as what the two ends are to do.
type script struct{ left []byte }

func (s *script) byte() byte {
	if len(s.left) == 0 {
		return 0
	}
	b := s.left[0]
	s.left = s.left[1:]
	return b
}

func (s *script) bytes() []byte {
	n := min(int(s.byte()), len(s.left))
	b := s.left[:n]
	s.left = s.left[n:]
	return b
}

// word is one of known, or anything.
func (s *script) word(known ...string) string {
	if i := int(s.byte()); i < len(known) {
		return known[i]
	}
	return string(s.bytes())
}

func (s *script) request(known ...string) request {
	flags := s.byte()
	return request{name: s.word(known...), reply: flags&1 != 0, payload: s.bytes(), ok: flags&2 != 0}
}

func (s *script) global() request {
	r := s.request("tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "keepalive@openssh.com",
		globalHostKeys, globalProve, globalNoMore)
	r.answer = s.bytes()
	return r
}

func (s *script) channel() *conversation {
	c := &conversation{
		kind: s.word(channelTCP, channelLocal, "direct-tcpip", channelSession, channelAgent, channelX11, "tun@openssh.com"), extra: s.bytes(),
	}
	if reason := s.byte(); reason%4 == 3 {
		c.refusal = &ssh.OpenChannelError{Reason: ssh.RejectionReason(reason), Message: string(s.bytes())}
	}
	return c
}

// play has e do what s says, and returns when all of it has been answered.
func (s *script) play(tr *trio, e *end) {
	const most = 32 // channels and other steps
	for range most {
		if len(s.left) == 0 {
			break
		}
		if s.byte()%3 == 0 {
			if c := e.open(tr, s.channel()); c != nil {
				s.converse(e, c)
			}
			continue
		}
		e.ask(s.global())
	}
	// Everything was taken in order, so that all is there when this is.
	e.ask(request{name: "end", reply: true, ok: true, answer: []byte("of it")})
}

func (s *script) converse(e *end, c *conversation) {
	far := <-c.far
	for n := s.byte() % 8; n > 0; n-- {
		switch how := s.byte(); {
		case how%2 == 0:
			c.request(e, far, how&2 != 0, s.request(requestExec, requestShell, "pty-req", "env", requestAgent, requestX11, "signal", "window-change", requestEOW))
		default:
			c.write(e, far, int(how>>1)%4, s.bytes())
		}
	}
	// Requests without an answer are known to have arrived by one with it.
	c.request(e, far, false, request{name: "end", reply: true, ok: true})
	c.request(e, far, true, request{name: "end", reply: true})
	c.finish(e, far)
}

// FuzzForwarded has a client and a target send what the fuzzer says through the
// broker, both at once: global requests, channels, their requests and data.
func FuzzForwarded(f *testing.F) {
	forward := []byte{1, 3, 0, 4, 'h', 'o', 's', 't', 2, 0, 22}
	f.Add(forward, []byte{0, 0, 4, 'f', 'r', 'o', 'm', 0, 3, 1, 4, 'd', 'a', 't', 'a', 5, 2, 'x', 'y', 0, 1, 3, 0})
	f.Add([]byte{0, 3, 0, 0, 5, 0, 3, 0, 2, 'l', 's', 1, 2, 'i', 'n', 5, 3, 'o', 'u', 't', 2, 0, 20, 3, 'a', 'b', 'c', 1, 'p', 7, 1, 'e'}, []byte{1, 0, 4, 2, 'k', 'k', 0})
	f.Add([]byte{0, 3, 0, 0, 2, 0, 1, 4, 0, 0, 1, 5, 0}, []byte{0, 4, 0, 0, 0, 5, 0, 0, 1, 1, 4, 0, 0})
	f.Add([]byte{0, 2, 3, 'a', 'd', 'r', 3, 2, 'n', 'o', 1, 1, 6, 0, 0, 0, 3, 0, 0, 0}, []byte{})
	// A connection is for many scripts: its handshake takes longer than they do.
	const renew = 200
	k := &keeper{TB: f}
	var tr *trio
	used := renew
	f.Cleanup(func() {
		k.TB = f
		k.close()
	})
	f.Fuzz(func(t *testing.T, fromClient, fromTarget []byte) {
		k.TB = t
		if used == renew {
			k.close()
			tr, used = newTrio(k), 0
		}
		used++
		late := time.AfterFunc(20*time.Second, func() { panic("the script does not come to its end") })
		defer late.Stop()
		var both sync.WaitGroup
		both.Go(func() { (&script{fromClient}).play(tr, tr.client) })
		both.Go(func() { (&script{fromTarget}).play(tr, tr.target) })
		both.Wait()
		for _, e := range []*end{tr.client, tr.target} {
			if err := e.judge(); err != nil {
				t.Error(err)
				used = renew
			}
		}
	})
}

// keeper is a test that goes on over several: what they share is closed by
// close and not by the end of the first.
type keeper struct {
	testing.TB
	after []func()
}

func (k *keeper) Cleanup(f func()) { k.after = append(k.after, f) }

func (k *keeper) TempDir() string {
	dir, err := os.MkdirTemp("", "ssh")
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (k *keeper) close() {
	for _, f := range slices.Backward(k.after) {
		f()
	}
	k.after = nil
}
