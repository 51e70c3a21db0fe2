package ssh

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"
)

// relayChannel opens what from offers at to, and relays it to its end.
func (w *way) relayChannel(offered ssh.NewChannel) {
	w.forth.enter(0)
	w.back.enter(0)
	far, farRequests, err := w.to.conn.OpenChannel(offered.ChannelType(), offered.ExtraData())
	w.opening.leave()
	if err != nil {
		w.forth.leave()
		reject(offered, err) // that, too, is on its way back
		w.back.leave()
		return
	}
	near, nearRequests, err := offered.Accept()
	if err != nil {
		w.forth.leave()
		w.back.leave()
		_ = far.Close()
		ssh.DiscardRequests(farRequests)
		return
	}
	c := &channel{kind: offered.ChannelType(), inputOver: make(chan struct{})}
	c.begun, c.begin = context.WithCancel(w.over)
	defer c.begin()
	if c.kind != channelSession {
		c.begin()
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer w.forth.leave()
		(&course{channel: c, way: w, from: near, to: far, requests: nearRequests, refused: w.policy.request}).run()
	})
	both.Go(func() {
		defer w.back.leave()
		(&course{channel: c, way: w, from: far, to: near, requests: farRequests, answers: true}).run()
	})
	both.Wait()
}

// reject passes a refusal on with its reason and text.
func reject(offered ssh.NewChannel, err error) {
	if refusal, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		_ = offered.Reject(refusal.Reason, refusal.Message)
		return
	}
	_ = offered.Reject(ssh.ConnectionFailed, "secretless: the other side has gone")
}

// channel is what the two courses of a channel share.
type channel struct {
	kind string
	// begun ends when data may flow. In a session it waits for the answer to
	// the request that says what the data is for: the library hands over data
	// and requests apart, and a server throws away input that arrives before
	// its program (RFC 4254 section 6.5).
	begun context.Context
	begin context.CancelFunc
	// answering is held while the opener's request is passed on and answered,
	// so that the channel is not closed between the target's answer and ours.
	answering sync.Mutex
	// inputOver is closed when the opener has sent all it will send.
	inputOver chan struct{}
}

// course is one direction of a channel.
type course struct {
	*channel
	way      *way
	from, to ssh.Channel
	requests <-chan *ssh.Request
	refused  func(kind, request string) bool
	// answers is true for the course back to the opener.
	answers bool
}

// run returns when from is closed and everything it sent is delivered, and to
// is closed then.
func (c *course) run() {
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pump(c.to, c.from, &c.way.buffers.data) })
	pumps.Go(func() { c.pump(c.to.Stderr(), c.from.Stderr(), &c.way.buffers.extended) })
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		pumps.Wait()
	}()
	if c.answers {
		c.relayAnswers(delivered)
	} else {
		c.relayInput(delivered)
	}
	c.begin() // nobody will begin it any more
	<-delivered
	if c.answers {
		c.answering.Lock()
		defer c.answering.Unlock()
	}
	_ = c.to.Close()
}

// pump copies until from has no more. Where to takes no more, the rest is
// thrown away: the sender hears of it by the close that is on its way.
func (c *course) pump(to io.Writer, from io.Reader, buffers *sync.Pool) {
	<-c.begun.Done()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := from.Read(*buf)
		if n > 0 {
			if _, failed := to.Write((*buf)[:n]); failed != nil {
				to = io.Discard
			}
		}
		if err != nil {
			return
		}
	}
}

// relayInput passes the opener's requests on until it closes the channel, and
// the end of its data as soon as that is there.
func (c *course) relayInput(delivered <-chan struct{}) {
	defer c.way.unblock(c.requests)()
	over := make(chan struct{})
	go func() {
		defer close(over)
		<-delivered
		close(c.inputOver)
		_ = c.to.CloseWrite()
	}()
	for r := range c.requests {
		c.answering.Lock()
		ok := c.relayRequest(r)
		c.answering.Unlock()
		if starts(r.Type) && (ok || !r.WantReply) {
			c.begin()
		}
	}
	c.begin()
	<-over
}

// relayAnswers passes on what comes back to the opener, until the other side
// closes the channel: requests, and the end of the data when it may be told.
func (c *course) relayAnswers(delivered <-chan struct{}) {
	defer c.way.unblock(c.requests)()
	end := &outputEnd{course: c, delivered: delivered}
	defer end.stop()
	for {
		select {
		case r, ok := <-c.requests:
			if !ok {
				return
			}
			c.relayAnswer(r, end)
		case <-end.delivered:
			end.delivered = nil
			// What was sent before the end of the data comes before it.
			for range len(c.requests) {
				if r, ok := <-c.requests; ok {
					c.relayAnswer(r, end)
				}
			}
			end.reached()
		case <-end.graceOver():
			end.timeIsUp()
		}
	}
}

func (c *course) relayAnswer(r *ssh.Request, end *outputEnd) {
	<-c.begun.Done()
	if !ends(r.Type) {
		c.relayRequest(r)
		return
	}
	end.await()
	c.relayRequest(r)
	end.exited()
}

// relayRequest passes r on with its answer and says whether that was yes.
func (c *course) relayRequest(r *ssh.Request) bool {
	ok := false
	if c.refused != nil && c.refused(c.kind, r.Type) {
		c.way.log.Info("request refused by the configuration", "request", r.Type)
	} else {
		sent, err := c.to.SendRequest(r.Type, r.WantReply, r.Payload)
		ok = sent && err == nil
	}
	if r.WantReply {
		_ = r.Reply(ok, nil)
	}
	return ok
}
