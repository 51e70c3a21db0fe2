package peer

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// The process that connected passed the socket on and ended; a process of an
// allowed program then gets its pid.
func TestCheckPidReuse(t *testing.T) {
	needRoot(t)
	allowed, evil := program(t, "allowed"), program(t, "evil")
	conn, c := connect(t, "unix", allowed, "handoff", []string{evil})
	p := policy(t, Allow{Executables: []string{allowed}})
	pid := c.cmd.Process.Pid
	_, err := c.cmd.Process.Wait()
	must(t, err)
	_, err = p.Check(conn)
	expect(t, err, "the process that connected has exited")
	if !reusePid(t, pid, allowed) {
		t.Skipf("could not get a process with pid %d", pid)
	}
	_, err = p.Check(conn)
	expect(t, err, "the process that connected has exited")
	if id, err := Identify(conn); err != nil || id.Executable != "" {
		t.Errorf("Identify is %+v, %v: took the new process for the old", id, err)
	}
}

// reusePid starts program until it gets pid; others start processes too.
func reusePid(t *testing.T, pid int, program string) bool {
	ln := listen(t, "unix")
	for range 50 {
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Skipf("pids cannot be chosen here: %v", err)
		}
		c := start(t, program, "dial", []string{"unix", ln.Addr().String()})
		accept(t, ln)
		if c.cmd.Process.Pid == pid {
			return true
		}
		c.stop()
	}
	return false
}

// Kernels without SO_PEERPIDFD: the process must at least be the user's.
func TestConfirmUser(t *testing.T) {
	proc, err := openProcess(os.Getpid())
	must(t, err)
	defer proc.close()
	own := unixPeer{cred: &unix.Ucred{Pid: int32(os.Getpid()), Uid: uint32(os.Getuid())}, pidfd: -1}
	must(t, own.confirm(proc))
	other := unixPeer{cred: &unix.Ucred{Pid: int32(os.Getpid()), Uid: 4321}, pidfd: -1}
	if err := other.confirm(proc); err == nil {
		t.Error("another user's process was confirmed")
	}
	foreign := unixPeer{cred: &unix.Ucred{}, pidfd: -1}
	if _, err := foreign.process(); err == nil || !strings.Contains(err.Error(), "pid namespace") {
		t.Errorf("a process without a pid here: %v", err)
	}
}

// What was read of a process that has ended must not become another's.
func TestProcessEnds(t *testing.T) {
	_, c := connect(t, "unix", program(t, "client"), "dial", nil)
	proc, err := openProcess(c.cmd.Process.Pid)
	must(t, err)
	defer proc.close()
	c.stop()
	if _, _, err := proc.executable(); !errors.Is(err, errExited) {
		t.Errorf("executable: %v", err)
	}
	if _, err := proc.status(); !errors.Is(err, errExited) {
		t.Errorf("status: %v", err)
	}
	proc.fd = "3"
	if proc.hasSocket(1) {
		t.Error("a process that ended has a socket")
	}
}

// Without privileges the broker sees only its own user's processes.
func TestUnseen(t *testing.T) {
	hidden := unseen{pid: 7, users: []uint32{0, 1000, 0, 0}}
	privileged := hidden
	privileged.privileged = true
	seen := []*process{{pid: 1, dir: -1}}
	for _, test := range []struct {
		name  string
		found holders
		uid   uint32
		want  string
	}{
		{"nobody", holders{}, 1000, "no process visible to the broker holds"},
		{"nobody seen", holders{unseen: []unseen{hidden}}, 5, "1 may not be inspected"},
		{"the same user's", holders{processes: seen, unseen: []unseen{hidden}}, 1000, "process 7 of the same user may hold"},
		{"another user's", holders{processes: seen, unseen: []unseen{hidden}}, 5, ""},
		{"more privileged", holders{processes: seen, unseen: []unseen{privileged}}, 1000, ""},
		{"too many", holders{processes: seen, tooMany: true}, 5, "more than 128 processes"},
	} {
		got := test.found.doubt(test.uid)
		if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: doubt is %q, want %q", test.name, got, test.want)
		}
	}
}

// Many clients at once share walks, and leave no descriptor behind.
func TestCheckConcurrent(t *testing.T) {
	p := policy(t, Allow{Executables: []string{"/proc/self/exe"}})
	conns := make(map[string][]net.Conn)
	for _, network := range networks {
		ln := listen(t, network)
		for range 20 {
			c, err := net.Dial(network, ln.Addr().String())
			must(t, err)
			defer c.Close()
			conns[network] = append(conns[network], accept(t, ln))
		}
	}
	check := func() {
		var all sync.WaitGroup
		for _, list := range conns {
			for i, conn := range list {
				times := 1
				if i == 0 {
					times = 2 // even the same connection twice
				}
				for range times {
					all.Go(func() {
						if _, err := p.Check(conn); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
		all.Wait()
	}
	check()
	before := descriptors(t)
	check()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(names)
}

func TestCheckOtherConnections(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, err := policy(t, Allow{Users: []string{"0"}}).Check(a)
	expect(t, err, "cannot be told")
	if id, err := Identify(a); err != nil || id.Known {
		t.Errorf("Identify is %+v, %v", id, err)
	}
	far := addressed{a, "192.0.2.1:5"}
	_, err = policy(t, Allow{Users: []string{"0"}}).Check(far)
	expect(t, err, "the client 192.0.2.1:5 is not on loopback")
	if id, err := Identify(far); err != nil || id.Known {
		t.Errorf("Identify is %+v, %v", id, err)
	}
}

// addressed is a TCP connection by its addresses only.
type addressed struct {
	net.Conn
	remote string
}

func (a addressed) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (a addressed) RemoteAddr() net.Addr { r, _ := net.ResolveTCPAddr("tcp", a.remote); return r }

func BenchmarkCheck(b *testing.B) {
	me := strconv.Itoa(os.Getuid())
	for _, network := range []string{"unix", "tcp4"} {
		for name, allow := range map[string]Allow{
			"users":       {Users: []string{me}},
			"executables": {Executables: []string{"/proc/self/exe"}},
		} {
			b.Run(network+"/"+name, func(b *testing.B) {
				conn, p := dialled(b, network), policy(b, allow)
				for b.Loop() {
					if _, err := p.Check(conn); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(network+"/identify", func(b *testing.B) {
			conn := dialled(b, network)
			for b.Loop() {
				if _, err := Identify(conn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func dialled(b *testing.B, network string) net.Conn {
	ln := listen(b, network)
	c, err := net.Dial(network, ln.Addr().String())
	must(b, err)
	b.Cleanup(func() { c.Close() })
	return accept(b, ln)
}
