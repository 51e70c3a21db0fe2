//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"secretless/internal/testenv"
)

// TestKilledAtEveryStage kills the client, the target and the broker, each a
// process, at every stage of the handshake. Whoever is left learns of it, and
// a broker that is left gives back what it held.
func TestKilledAtEveryStage(t *testing.T) {
	binary := buildBinary(t)
	took := &latencies{max: map[string]time.Duration{}}
	t.Run("at", func(t *testing.T) {
		for _, s := range clientStages() {
			for _, victim := range []string{"client", "broker"} {
				t.Run(s.name+"/"+victim, func(t *testing.T) {
					t.Parallel()
					newHandshake(t, binary, took).beforeTarget(s, victim)
				})
			}
		}
		for _, s := range targetStages("") {
			for _, victim := range []string{"client", "target", "broker"} {
				t.Run(s.name+"/"+victim, func(t *testing.T) {
					t.Parallel()
					newHandshake(t, binary, took).atTarget(s.name, victim)
				})
			}
		}
		for _, victim := range []string{"client", "broker"} {
			t.Run("target dialled/"+victim, func(t *testing.T) {
				t.Parallel()
				newHandshake(t, binary, took).whileDialling(victim)
			})
		}
	})
	t.Logf("slowest to learn: %v", took.max)
}

// latencies are how long the parties needed to learn of a death.
type latencies struct {
	mu  sync.Mutex
	max map[string]time.Duration
}

// handshake is one broker with one login under way.
type handshake struct {
	*running
	binary string
	took   *latencies
	broker *exec.Cmd
	idle   int // sockets of the broker when nobody is connected
}

func newHandshake(t *testing.T, binary string, took *latencies) *handshake {
	t.Helper()
	return &handshake{running: prepare(t), binary: binary, took: took}
}

// serve starts the broker in front of a target.
func (h *handshake) serve(target string) {
	h.t.Helper()
	_, port, _ := net.SplitHostPort(target)
	n, _ := strconv.Atoi(port)
	h.broker = h.exec(h.binary, h.yaml(service{port: n, sslmode: "prefer", user: testenv.User{Name: "app", Password: stagePassword}}))
	h.eventually("the broker to be ready", func() bool { return h.log.has(`"msg":"ready"`) })
	h.idle = h.sockets()
}

const stagePassword = "a password of the stages"

// sockets counts the broker's.
func (h *handshake) sockets() (n int) {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", h.broker.Process.Pid))
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func (h *handshake) address() string { return fmt.Sprintf("127.0.0.1:%d", h.port) }

// client connects: as a process if it is to be killed.
func (h *handshake) client(victim string) party {
	h.t.Helper()
	if victim == "client" {
		return newPuppet(h.t, "dial "+h.address())
	}
	conn, err := net.Dial("tcp", h.address())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return socket{conn}
}

func (h *handshake) beforeTarget(s stage, victim string) {
	h.serve("127.0.0.1:1")
	client := h.client(victim)
	if err := s.reach(client); err != nil {
		h.t.Fatal(err)
	}
	h.eventually("the broker to accept", func() bool { return h.sockets() > h.idle })
	h.die(victim, map[string]party{"client": client})
}

func (h *handshake) atTarget(name, victim string) {
	target, address := h.target(victim)
	h.serve(address)
	client := h.client(victim)
	if err := says(greeting)(client); err != nil {
		h.t.Fatal(err)
	}
	server := target()
	for _, s := range targetStages(stagePassword) {
		if s.name != name {
			continue
		}
		if err := s.reach(server); err != nil {
			h.t.Fatalf("%v; the broker's log:\n%s", err, h.log)
		}
	}
	if name == "established" {
		for kind := byte(0); kind != 'Z'; {
			var err error
			if kind, _, err = message(client); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	h.die(victim, map[string]party{"client": client, "target": server})
}

// target listens; the returned function waits for the broker's connection.
func (h *handshake) target(victim string) (accept func() party, address string) {
	h.t.Helper()
	if victim == "target" {
		p := newPuppet(h.t, "listen")
		return func() party { return p }, p.listening(h.t)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Close() })
	return func() party {
		conn, err := l.Accept()
		if err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(func() { _ = conn.Close() })
		return socket{conn}
	}, l.Addr().String()
}

// whileDialling has a target whose machine does not answer: its backlog is
// full, and the kernel drops who knocks.
func (h *handshake) whileDialling(victim string) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(unix.Bind(fd, at), unix.Listen(fd, 0)); err != nil {
		h.t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		h.t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
	for {
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			break // it is full
		}
		defer func() { _ = c.Close() }()
	}
	h.serve(address)
	client := h.client(victim)
	if err := says(greeting)(client); err != nil {
		h.t.Fatal(err)
	}
	h.eventually("the broker to dial", func() bool { return h.sockets() > h.idle+1 })
	h.die(victim, map[string]party{"client": client})
}

// die kills the victim and waits until everybody else has learned.
func (h *handshake) die(victim string, parties map[string]party) {
	h.t.Helper()
	time.Sleep(20 * time.Millisecond) // the last bytes have arrived
	var waiting sync.WaitGroup
	began := time.Now()
	if victim == "broker" {
		_ = h.broker.Process.Kill()
	} else {
		parties[victim].kill()
		waiting.Go(func() { h.learned("broker", victim, began, h.releasesAll) })
	}
	for name, p := range parties {
		if name == victim {
			continue
		}
		waiting.Go(func() {
			h.learned(name, victim, began, func() bool {
				_ = p.(socket).SetReadDeadline(time.Now().Add(learnsSoon))
				return hearsEnd(p)
			})
			p.kill()
		})
	}
	waiting.Wait()
}

func (h *handshake) learned(who, victim string, began time.Time, learns func() bool) {
	if !learns() {
		h.t.Errorf("the %s does not learn that the %s is dead; the broker's log:\n%s", who, victim, h.log)
	}
	h.took.mu.Lock()
	defer h.took.mu.Unlock()
	key := fmt.Sprintf("%s of the %s", who, victim)
	h.took.max[key] = max(h.took.max[key], time.Since(began).Round(time.Millisecond))
}

// releasesAll tells whether the broker soon has no more sockets than before.
func (h *handshake) releasesAll() bool {
	for end := time.Now().Add(learnsSoon); h.sockets() > h.idle; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// hearsEnd reads until the connection ends, or a server's error comes.
func hearsEnd(p party) bool {
	b := make([]byte, 4096)
	for {
		n, err := p.Read(b)
		if n > 0 && b[0] == 'E' || err != nil {
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}
