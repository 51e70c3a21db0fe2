package connectortest

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"secretless/internal/broker"
)

// A client over the limit is told so in its protocol, and served when there
// is room again.
func testConnectionLimit(t *testing.T, s Suite) {
	st := newStand(t, s, options{limits: broker.Limits{Connections: 2}})
	first, _ := st.login(), st.login()
	st.refused()
	if n := st.double.accepted.Load(); n != 2 {
		t.Errorf("%d target connections, want 2", n)
	}
	_ = first.Close()
	eventually(t, "room for another connection", func() bool { return st.broker.Status()[0].Active < 2 })
	expectEcho(t, st.login(), []byte("room again"))
}

// A stop that is cut short ends a login under way, and the client is told.
func testStopDuringLogin(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	st.double.setHandle(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	failed := make(chan error, 1)
	conn := st.dial()
	go func() {
		_, err := s.Login(conn, nil)
		failed <- err
	}()
	eventually(t, "the login to reach the target", func() bool { return st.double.accepted.Load() > 0 })
	st.stopNow()
	if err := <-failed; err == nil {
		t.Error("the login succeeded")
	}
	eventually(t, "the target connection to end", func() bool { return st.double.open.Load() == 0 })
}

func testStopWhileConnected(t *testing.T, s Suite) {
	st := newStand(t, s, options{})
	c := st.login()
	expectEcho(t, c, []byte("hello"))
	st.stopNow()
	st.expectClosed(c)
	eventually(t, "the target connection to end", func() bool { return st.double.open.Load() == 0 })
}

func (st *stand) stopNow() {
	st.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = st.broker.Shutdown(ctx)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		st.t.Fatal("the broker does not stop")
	}
}
