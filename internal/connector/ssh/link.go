package ssh

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector/database"
)

// farewell is how long a target may take for what a client that has left had
// sent before.
const farewell = 10 * time.Second

// link joins two SSH connections.
type link struct {
	config         Config
	buffers        *buffers
	log            *slog.Logger
	client, target side

	// over ends when both connections are closed or about to be: from then on
	// nothing waits for an answer.
	over context.Context
	end  context.CancelFunc
	all  sync.WaitGroup
	// open counts channels against the limit.
	open tally
	// toClient and toTarget count the directions of channels that may still
	// have something to deliver.
	toClient, toTarget tally
}

func newLink(config Config, buffers *buffers, log *slog.Logger, client, target side) *link {
	over, end := context.WithCancel(context.Background())
	return &link{config: config, buffers: buffers, log: log, client: client, target: target, over: over, end: end}
}

// serve returns when both connections have ended, and every goroutine with
// them. The end of ctx ends both.
func (l *link) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, l.closeBoth)
	defer stop()
	fromClient := l.way(l.client, l.target, &l.toTarget, &l.toClient, clientPolicy(l.config, isOpenSSH(l.target.conn.ServerVersion())))
	fromTarget := l.way(l.target, l.client, &l.toClient, &l.toTarget, targetPolicy(l.config))
	l.all.Go(fromClient.relayGlobals)
	l.all.Go(fromTarget.relayGlobals)
	l.all.Go(fromClient.relayChannels)
	l.all.Go(fromTarget.relayChannels)
	var ends sync.WaitGroup
	ends.Go(func() {
		_ = l.client.conn.Wait()
		late := time.AfterFunc(farewell, func() { _ = l.target.conn.Close() })
		defer late.Stop()
		l.toTarget.wait()
		_ = l.target.conn.Close()
	})
	ends.Go(func() {
		_ = l.target.conn.Wait()
		// A client that reads slowly gets everything, as long as it stays.
		l.toClient.wait()
		_ = l.client.conn.Close()
	})
	ends.Wait()
	l.end()
	l.all.Wait()
}

func (l *link) closeBoth() {
	l.end()
	_ = l.client.conn.Close()
	_ = l.target.conn.Close()
}

// way is one direction of a link, for what begins at from.
type way struct {
	*link
	from, to side
	// forth and back count what is on its way to to, and to from.
	forth, back *tally
	policy      policy
	// opening counts channels that to has not answered.
	opening tally
	// barrier asks relayChannels to take all that from has offered so far, and
	// taken is closed when it takes no more.
	barrier chan chan struct{}
	taken   chan struct{}
}

func (l *link) way(from, to side, forth, back *tally, policy policy) *way {
	return &way{
		link: l, from: from, to: to, forth: forth, back: back, policy: policy,
		barrier: make(chan chan struct{}), taken: make(chan struct{}),
	}
}

// relayGlobals passes global requests on, one at a time: their answers have no
// number to tell them apart by (RFC 4254 section 4).
func (w *way) relayGlobals() {
	defer w.unblock(w.from.requests)()
	for r := range w.from.requests {
		if w.policy.global(r.Type) {
			w.log.Debug("global request kept from the other side", "request", database.Quote(r.Type))
			_ = r.Reply(false, nil)
			continue
		}
		if r.Type == globalNoMore {
			w.awaitOpened()
		}
		ok, payload, err := w.to.conn.SendRequest(r.Type, r.WantReply, r.Payload)
		if err != nil {
			ok, payload = false, nil
		}
		_ = r.Reply(ok, payload)
	}
}

// awaitOpened returns when the channels that from opened before are open at to.
// The library hands over channels and global requests apart, and a server that
// is told that no more sessions will come breaks off over one that was on its
// way.
func (w *way) awaitOpened() {
	done := make(chan struct{})
	select {
	case w.barrier <- done:
		<-done
	case <-w.taken:
	}
	w.opening.wait()
}

// relayChannels passes channels on, each in a goroutine of its own, so that a
// slow answer holds up no other.
func (w *way) relayChannels() {
	defer close(w.taken)
	for {
		select {
		case offered, ok := <-w.from.channels:
			if !ok {
				return
			}
			w.takeChannel(offered)
		case done := <-w.barrier:
			for range len(w.from.channels) {
				if offered, ok := <-w.from.channels; ok {
					w.takeChannel(offered)
				}
			}
			close(done)
		}
	}
}

func (w *way) takeChannel(offered ssh.NewChannel) {
	if why := w.policy.channel(offered.ChannelType()); why != "" {
		w.log.Info("channel refused", "type", database.Quote(offered.ChannelType()), "reason", why)
		_ = offered.Reject(ssh.UnknownChannelType, "secretless: "+why)
		return
	}
	if !w.open.enter(w.config.MaxChannels) {
		w.log.Info("channel refused", "type", database.Quote(offered.ChannelType()), "reason", "maxChannels is reached")
		_ = offered.Reject(ssh.ResourceShortage, "secretless: the connection has as many channels as maxChannels allows")
		return
	}
	w.opening.enter(0)
	w.all.Go(func() {
		defer w.open.leave()
		w.relayChannel(offered)
	})
}

// unblock takes requests once the link is over, beside whoever takes them
// before but may wait for an answer: the library's reader waits for somebody
// to take them, and then neither would end. The caller calls stop when requests
// is closed.
func (w *way) unblock(requests <-chan *ssh.Request) (stop func()) {
	done := make(chan struct{})
	unregister := context.AfterFunc(w.over, func() {
		defer close(done)
		ssh.DiscardRequests(requests)
	})
	return func() {
		if !unregister() {
			<-done
		}
	}
}

// tally counts what is under way. The zero tally is ready.
type tally struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to zero, if somebody waits
}

// enter counts one more, unless there are limit already; zero is no limit.
func (t *tally) enter(limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit > 0 && t.n >= limit {
		return false
	}
	t.n++
	return true
}

func (t *tally) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// wait returns when the count is zero, which it may not be for long.
func (t *tally) wait() {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	<-idle
}
