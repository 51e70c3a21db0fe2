package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// trio is a client, the broker and a target, joined: what one end of it is
// told to send must arrive at the other as it was sent, and come back with the
// answer that the other was told to give.
type trio struct {
	client, target *end
	running        sync.WaitGroup
}

// end is the client or the target.
type end struct {
	conn ssh.Conn
	// keeps says what the broker does not pass on to the other end.
	keeps struct {
		global  func(request string) bool
		channel func(channelType string) bool
		request func(channelType, request string) bool
	}
	other *end

	mu sync.Mutex
	// asked and offered are what the other end is about to send.
	asked   []request
	offered []*conversation
	failed  error
}

// request is a request with its answer.
type request struct {
	name    string
	reply   bool
	payload []byte
	ok      bool
	answer  []byte
}

func (r request) String() string {
	return fmt.Sprintf("%q (reply %t) %x: %t %x", r.name, r.reply, r.payload, r.ok, r.answer)
}

// conversation is a channel, from its offer to its end.
type conversation struct {
	kind    string
	extra   []byte
	refusal *ssh.OpenChannelError // nil: it is accepted
	near    ssh.Channel           // the opener's
	far     chan ssh.Channel      // the other's; empty if it was refused
	begun   bool
	// The requests that arrive at the opener and at the other end, and the
	// data that has to.
	mu             sync.Mutex
	toNear, toFar  []request
	sent, received [4]bytes.Buffer // to far, its stderr, to near, its stderr
	// readNear and readFar last until everything has arrived at one end.
	readNear, readFar sync.WaitGroup
}

func newTrio(t testing.TB) *trio {
	h := newHost(t)
	h.config.ServerVersion = versionOpenSSH
	arrived, over := make(chan *end), make(chan struct{})
	tr := &trio{}
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		e := &end{conn: conn}
		e.keeps.global = func(name string) bool { return name == globalHostKeys }
		e.keeps.channel = func(kind string) bool { return kind != channelTCP && kind != channelLocal }
		e.keeps.request = func(string, string) bool { return false }
		arrived <- e
		<-over
		tr.attend(e, channels, requests)
		_ = conn.Wait()
	}
	f := newFront(t, Config{}, h.credentials())
	raw, err := net.Dial("tcp", f.addr())
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		conn     ssh.Conn
		channels <-chan ssh.NewChannel
		requests <-chan *ssh.Request
		err      error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.conn, r.channels, r.requests, r.err = ssh.NewClientConn(raw, "", &ssh.ClientConfig{
			ClientVersion: versionOpenSSH, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		done <- r
	}()
	tr.target = <-arrived
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	tr.client = &end{conn: r.conn, other: tr.target}
	tr.target.other = tr.client
	tr.client.keeps.global = func(name string) bool { return name == globalProve }
	tr.client.keeps.channel = func(string) bool { return false }
	tr.client.keeps.request = func(kind, name string) bool {
		return kind == channelSession && (name == requestAgent || name == requestX11)
	}
	tr.attend(tr.client, r.channels, r.requests)
	close(over)
	t.Cleanup(func() {
		_ = tr.client.conn.Close()
		_ = tr.target.conn.Wait() // the end has crossed
		tr.running.Wait()
		if err := f.result(); err != nil {
			t.Errorf("the broker's end: %v", err)
		}
	})
	return tr
}

// attend answers what arrives at e.
func (tr *trio) attend(e *end, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	tr.running.Go(func() {
		for r := range requests {
			e.answer(r, e.next)
		}
	})
	tr.running.Go(func() {
		for offered := range channels {
			e.take(tr, offered)
		}
	})
}

// next is the request that must arrive now.
func (e *end) next() (request, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.asked) == 0 {
		return request{}, false
	}
	r := e.asked[0]
	e.asked = e.asked[1:]
	return r, true
}

func (e *end) fail(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = errors.Join(e.failed, fmt.Errorf(format, args...))
}

// judge is what went wrong at e, and what never arrived there.
func (e *end) judge() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil || len(e.asked) > 0 || len(e.offered) > 0 {
		return fmt.Errorf("%v; never arrived: %v, %d channels", e.failed, e.asked, len(e.offered))
	}
	return nil
}

func (e *end) answer(r *ssh.Request, next func() (request, bool)) {
	want, ok := next()
	if !ok || r.Type != want.name || r.WantReply != want.reply || !bytes.Equal(r.Payload, want.payload) {
		e.fail("got the request %q (reply %t) %x, want %s, %t", r.Type, r.WantReply, r.Payload, want, ok)
	}
	_ = r.Reply(want.ok, want.answer)
}

// ask sends a global request to the other end.
func (e *end) ask(r request) {
	if e.keeps.global(r.name) {
		r.ok, r.answer = false, nil
	} else {
		e.other.mu.Lock()
		e.other.asked = append(e.other.asked, r)
		e.other.mu.Unlock()
	}
	ok, answer, err := e.conn.SendRequest(r.name, r.reply, r.payload)
	if err != nil || r.reply && (ok != r.ok || !bytes.Equal(answer, r.answer)) {
		e.fail("the answer to %s is %t %x, %v", r, ok, answer, err)
	}
}

// open offers a channel to the other end; nil where that was refused.
func (e *end) open(tr *trio, c *conversation) *conversation {
	c.far, c.begun = make(chan ssh.Channel, 1), c.kind != channelSession
	kept := e.keeps.channel(c.kind)
	if !kept {
		e.other.mu.Lock()
		e.other.offered = append(e.other.offered, c)
		e.other.mu.Unlock()
	}
	near, requests, err := e.conn.OpenChannel(c.kind, c.extra)
	refusal, refused := errors.AsType[*ssh.OpenChannelError](err)
	switch {
	case kept:
		if !refused || refusal.Reason != ssh.UnknownChannelType {
			e.fail("a channel %q was not refused by the broker: %v", c.kind, err)
		}
		return nil
	case c.refusal != nil:
		if !refused || *refusal != *c.refusal {
			e.fail("the refusal of %q is %v, want %v", c.kind, err, c.refusal)
		}
		return nil
	case err != nil:
		e.fail("the channel %q: %v", c.kind, err)
		return nil
	}
	c.near = near
	c.read(tr, e, near, requests, 2, &c.toNear, &c.readNear)
	return c
}

func (e *end) take(tr *trio, offered ssh.NewChannel) {
	e.mu.Lock()
	if len(e.offered) == 0 {
		e.mu.Unlock()
		e.fail("a channel %q from nowhere", offered.ChannelType())
		_ = offered.Reject(ssh.Prohibited, "")
		return
	}
	c := e.offered[0]
	e.offered = e.offered[1:]
	e.mu.Unlock()
	if offered.ChannelType() != c.kind || !bytes.Equal(offered.ExtraData(), c.extra) {
		e.fail("got the channel %q %x, want %q %x", offered.ChannelType(), offered.ExtraData(), c.kind, c.extra)
	}
	if c.refusal != nil {
		_ = offered.Reject(c.refusal.Reason, c.refusal.Message)
		return
	}
	far, requests, err := offered.Accept()
	if err != nil {
		e.fail("accepting: %v", err)
		return
	}
	c.read(tr, e, far, requests, 0, &c.toFar, &c.readFar)
	c.far <- far
}

// read takes everything that arrives at one end of the channel.
func (c *conversation) read(tr *trio, e *end, ch ssh.Channel, requests <-chan *ssh.Request, at int, expected *[]request, reading *sync.WaitGroup) {
	tr.running.Go(func() {
		for r := range requests {
			e.answer(r, func() (request, bool) {
				c.mu.Lock()
				defer c.mu.Unlock()
				if len(*expected) == 0 {
					return request{}, false
				}
				r := (*expected)[0]
				*expected = (*expected)[1:]
				return r, true
			})
		}
	})
	reading.Go(func() { _, _ = io.Copy(&c.received[at], ch) })
	reading.Go(func() { _, _ = io.Copy(&c.received[at+1], ch.Stderr()) })
}

// request sends a request of the channel, from its opener or back to it.
func (c *conversation) request(e *end, far ssh.Channel, back bool, r request) {
	from, expected := c.near, &c.toFar
	if back {
		if !c.begun {
			return // held back until the session begins
		}
		from, expected, e = far, &c.toNear, e.other
	}
	if !back && e.keeps.request(c.kind, r.name) {
		r.ok = false
	} else {
		c.mu.Lock()
		*expected = append(*expected, r)
		c.mu.Unlock()
	}
	ok, err := from.SendRequest(r.name, r.reply, r.payload)
	if err != nil || r.reply && ok != r.ok {
		e.fail("the answer in %q to %s is %t, %v", c.kind, r, ok, err)
	}
	if !back && starts(r.name) && (r.ok || !r.reply) {
		c.begun = true
	}
}

// write sends data on the channel, to stream at of sent.
func (c *conversation) write(e *end, far ssh.Channel, at int, data []byte) {
	if !c.begun {
		return
	}
	to := []io.Writer{c.near, c.near.Stderr(), far, far.Stderr()}[at]
	c.sent[at].Write(data)
	if _, err := to.Write(data); err != nil {
		e.fail("writing to %q: %v", c.kind, err)
	}
}

// finish ends the channel from both ends and compares.
func (c *conversation) finish(e *end, far ssh.Channel) {
	if c.begun {
		_ = c.near.CloseWrite()
	} else {
		_ = c.near.Close()
	}
	c.readFar.Wait() // what is still on its way to a closed channel is lost
	_ = far.CloseWrite()
	_ = far.Close()
	c.readNear.Wait()
	_ = c.near.Close()
	for at := range c.sent {
		if !bytes.Equal(c.sent[at].Bytes(), c.received[at].Bytes()) {
			e.fail("stream %d of %q: got %x, want %x", at, c.kind, c.received[at].Bytes(), c.sent[at].Bytes())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := slices.Concat(c.toNear, c.toFar); len(left) > 0 {
		e.fail("requests of %q that never arrived: %v", c.kind, left)
	}
}
