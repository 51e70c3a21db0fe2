package postgres

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/secret"
	"secretless/internal/target"
)

// maxCancelKeys bounds the table of running sessions. Requests for sessions
// beyond it go to the configured host.
const maxCancelKeys = 16 << 10

// cancelTimeout bounds the forwarding of one cancel request.
const cancelTimeout = 10 * time.Second

// sessions knows which target each running session talks to: a host name may
// stand for several servers, and only one of them knows the cancel key.
type sessions struct {
	mu    sync.Mutex
	plans map[string]*plan
}

func newSessions() *sessions { return &sessions{plans: map[string]*plan{}} }

// add remembers a session, if there is room, until forget is called.
func (t *sessions) add(key pgproto3.BackendKeyData, p plan) (forget func()) {
	if len(key.SecretKey) == 0 || len(key.SecretKey) > maxCancelKey {
		return func() {}
	}
	name := cancelName(key.ProcessID, key.SecretKey)
	own := &p
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.plans) >= maxCancelKeys {
		return func() {}
	}
	t.plans[name] = own
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.plans[name] == own { // two targets may have given the same key
			delete(t.plans, name)
		}
	}
}

func (t *sessions) find(r *pgproto3.CancelRequest) (plan, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.plans[cancelName(r.ProcessID, r.SecretKey)]
	if !ok {
		return plan{}, false
	}
	return *p, true
}

func cancelName(pid uint32, key []byte) string {
	return string([]byte{byte(pid >> 24), byte(pid >> 16), byte(pid >> 8), byte(pid)}) + string(key)
}

// at is p with the address that conn really has.
func (p plan) at(conn net.Conn) plan {
	p.Plan = p.At(conn)
	return p
}

// forward passes a cancel request on and waits until the target has closed the
// connection, which tells the client that the request has been worked on. The
// protocol has no answer, so failures are for the log only.
func (c *Connector) forward(ctx context.Context, s *connector.Session, o opening) error {
	// Many clients send the request and leave; it counts all the same.
	s.Established()
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	p, known := c.sessions.find(o.cancel)
	if !known {
		if !o.trusted {
			return database.Untold(connector.KindProtocol, fmt.Errorf("cancel request of no running session from a client without the certificate that the listener demands"))
		}
		var err error
		if p, err = c.configured(ctx, s); err != nil {
			return err
		}
	}
	conn, err := database.Within(ctx, s, p.open)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer target.Watch(ctx, conn)()
	message, err := o.cancel.Encode(nil)
	if err != nil {
		return err
	}
	if _, err := conn.Write(message); err != nil {
		return targetFailure(ctx, p.Address.String(), "forwarding a cancel request", err)
	}
	// The target sends nothing and closes, in order or with a reset.
	_, err = io.CopyN(io.Discard, conn, maxMessage)
	if database.IsTimeout(err) {
		return targetFailure(ctx, p.Address.String(), "forwarding a cancel request", err)
	}
	return nil
}

// configured is the target of the credentials.
func (c *Connector) configured(ctx context.Context, s *connector.Session) (plan, error) {
	set, err := s.Credentials.Get(ctx)
	if err != nil {
		return plan{}, &connector.Failure{Kind: connector.KindCredentials, Err: err}
	}
	defer set.Wipe()
	return planOf(set)
}

func planOf(set *secret.Set) (plan, error) {
	settings, err := readSettings(set)
	return settings.plan, err
}
