package ssh

import (
	"net"
	"reflect"
	"sync"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"secretless/internal/testenv"
)

// burst holds back what the library writes, so that it arrives all at once.
type burst struct {
	net.Conn
	mu    sync.Mutex
	held  []byte
	holds bool
}

func (b *burst) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holds {
		b.held = append(b.held, p...)
		return len(p), nil
	}
	return b.Conn.Write(p)
}

func (b *burst) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holds = true
}

func (b *burst) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holds = false
	_, _ = b.Conn.Write(b.held)
}

// packetWriter is the library's packetConn: what a hostile peer sends is no
// request that the library has a method for.
type packetWriter interface {
	Close() error
	readPacket() ([]byte, error)
	writePacket([]byte) error
}

func packets(conn ssh.Conn) packetWriter {
	field := reflect.ValueOf(conn).Elem().FieldByName("mux").Elem().FieldByName("conn")
	return *(*packetWriter)(unsafe.Pointer(field.UnsafeAddr()))
}

// breakOff sends data of a channel that is not there, which ends the
// receiver's connection protocol, with more packets behind it than the library
// keeps for its reader, and stays.
func breakOff(t *testing.T, b *burst, conn ssh.Conn) {
	b.hold()
	to := packets(conn)
	if err := to.writePacket([]byte{94, 0, 0, 9, 9, 0, 0, 0, 1, 'x'}); err != nil {
		t.Error(err)
	}
	for range 64 {
		if err := to.writePacket(ssh.Marshal(struct {
			Name  string `sshtype:"80"`
			Reply bool
		}{"keepalive@openssh.com", false})); err != nil {
			t.Error(err)
		}
	}
	b.release()
}

func TestAPeerThatPipelinesAndBreaksOffLeavesNothing(t *testing.T) {
	for _, client := range []bool{true, false} {
		before := goleak.IgnoreCurrent()
		t.Run(map[bool]string{true: "client", false: "target"}[client], func(t *testing.T) {
			h := newHost(t)
			arrived := make(chan ssh.Conn, 1)
			h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
				arrived <- conn.Conn
				go ssh.DiscardRequests(requests)
				_ = conn.Wait()
			}
			var targets *burst
			h.wrap = func(c net.Conn) net.Conn { targets = &burst{Conn: c}; return targets }
			f := newFront(t, Config{}, h.credentials())
			mine := &burst{Conn: dial(t, f.addr())}
			conn, channels, requests, err := ssh.NewClientConn(mine, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
			if err != nil {
				t.Fatal(err)
			}
			go ssh.DiscardRequests(requests)
			theirs := <-arrived
			if client {
				breakOff(t, mine, conn)
			} else {
				breakOff(t, targets, theirs)
			}
			_ = f.result() // the broker has let go of both
			_ = conn.Close()
			side{conn: conn, channels: channels}.close()
		})
		if err := goleak.Find(append(testenv.LeakOptions(), before)...); err != nil {
			t.Errorf("client %t: %v", client, err)
		}
	}
}
