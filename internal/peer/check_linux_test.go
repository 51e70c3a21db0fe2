package peer

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

var networks = []string{"unix", "tcp4", "tcp6"}

func TestCheckAccounts(t *testing.T) {
	needRoot(t)
	prog := program(t, "client")
	const supplementary = "is in none of allow.groups"
	for _, test := range []struct {
		name   string
		allow  Allow
		refuse string
	}{
		{"user", Allow{Users: []string{"4321"}}, ""},
		{"another user", Allow{Users: []string{"4320"}}, "the user is not in allow.users"},
		{"root is no exception", Allow{Users: []string{"root"}}, "uid 4321"},
		{"primary group", Allow{Groups: []string{"8765"}}, ""},
		{"supplementary group", Allow{Groups: []string{"999", "8767"}}, ""},
		{"another group", Allow{Groups: []string{"root", "8768"}}, supplementary},
		{"user or group: user", Allow{Users: []string{"4321"}, Groups: []string{"1"}}, ""},
		{"user or group: group", Allow{Users: []string{"1"}, Groups: []string{"8766"}}, ""},
		{"neither", Allow{Users: []string{"1"}, Groups: []string{"1"}}, "the user is not in allow.users and the process is in none of allow.groups"},
		{"user and executable", Allow{Users: []string{"4321"}, Executables: []string{prog}}, ""},
		{"user but another executable", Allow{Users: []string{"4321"}, Executables: []string{"/proc/self/exe"}}, "not in allow.executables"},
		{"executable but another user", Allow{Users: []string{"1"}, Executables: []string{prog}}, "not in allow.users"},
		{"group and executable", Allow{Groups: []string{"8766"}, Executables: []string{prog}}, ""},
	} {
		for _, network := range networks {
			t.Run(network+" "+test.name, func(t *testing.T) {
				conn, _ := connect(t, network, prog, "dial", nil, as(4321, 8765, 8766, 8767))
				id, err := policy(t, test.allow).Check(conn)
				expect(t, err, test.refuse)
				if !id.Known || id.UID != 4321 || id.PID != 0 && id.GID != 8765 {
					t.Errorf("identity is %+v", id)
				}
			})
		}
	}
}

// expect demands a *Refused that says why, or none where why is empty.
func expect(t *testing.T, err error, why string) {
	t.Helper()
	if why == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var refused *Refused
	if !errors.As(err, &refused) {
		t.Fatalf("error is %v, want a refusal: %s", err, why)
	}
	if !strings.Contains(err.Error(), why) {
		t.Errorf("error is %q, want it to say %q", err, why)
	}
}

func TestIdentify(t *testing.T) {
	prog := program(t, "client")
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			conn, c := connect(t, network, prog, "dial", nil)
			want := Identity{Known: true, UID: uint32(os.Getuid())}
			if network == "unix" {
				want.GID, want.PID, want.Executable = uint32(os.Getgid()), c.cmd.Process.Pid, prog
			}
			if id, err := Identify(conn); err != nil || id != want {
				t.Errorf("Identify is %+v, %v, want %+v", id, err, want)
			}
			want.Executable = ""
			id, err := Glance(conn), error(nil)
			if client, server, ok := tcpEnds(conn); ok {
				if id.Known {
					t.Errorf("Glance is %+v", id)
				}
				if id, err = Find(client, server); err != nil {
					t.Error(err)
				}
			}
			if id != want {
				t.Errorf("Glance or Find is %+v, want %+v", id, want)
			}
		})
	}
}

func TestCheckExecutable(t *testing.T) {
	prog, other := program(t, "client"), program(t, "client")
	link := prog + "-link"
	must(t, os.Symlink(prog, link))
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			conn, c := connect(t, network, prog, "dial", nil)
			id, err := policy(t, Allow{Executables: []string{other, prog}}).Check(conn)
			want := Identity{Known: true, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: c.cmd.Process.Pid, Executable: prog}
			if err != nil || id != want {
				t.Errorf("Check is %+v, %v, want %+v", id, err, want)
			}
			_, err = policy(t, Allow{Executables: []string{link}}).Check(conn)
			expect(t, err, "")
			_, err = policy(t, Allow{Executables: []string{other}}).Check(conn)
			expect(t, err, `pid `+strconv.Itoa(c.cmd.Process.Pid)+` executable "`+prog+`": the executable is not in allow.executables`)
			_, err = policy(t, Allow{Executables: []string{"/no/such"}}).Check(conn)
			expect(t, err, "stat /no/such: no such file or directory")
		})
	}
}

func TestCheckReplacedExecutable(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			prog := program(t, "client")
			conn, _ := connect(t, network, prog, "dial", nil)
			must(t, os.Rename(program(t, "new"), prog))
			_, err := policy(t, Allow{Executables: []string{prog}}).Check(conn)
			expect(t, err, "deleted or replaced ("+prog+") since the program started; restart the program")
			must(t, os.Remove(prog))
			_, err = policy(t, Allow{Executables: []string{prog}}).Check(conn)
			expect(t, err, "deleted or replaced")
		})
	}
}

// In a mount namespace of its own a client can put any file at an allowed path.
func TestCheckMountNamespace(t *testing.T) {
	needRoot(t)
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			allowed, evil := program(t, "client"), program(t, "evil")
			ln := listen(t, network)
			script := `mount --bind "$0" "$1" && exec "$1" "$2" "$3"`
			args := []string{"-m", "sh", "-c", script, evil, allowed, network, ln.Addr().String()}
			if out, err := exec.Command("unshare", "-m", "true").CombinedOutput(); err != nil {
				t.Skipf("no mount namespaces here: %v: %s", err, out)
			}
			start(t, "unshare", "dial", args, func(c *exec.Cmd) { c.Env = append(c.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin") })
			_, err := policy(t, Allow{Executables: []string{allowed}}).Check(accept(t, ln))
			expect(t, err, "the executable is another file than the one at that path in allow.executables")
		})
	}
}

// Every process that inherited the socket can speak on it.
func TestCheckInherited(t *testing.T) {
	parent, child := program(t, "parent"), program(t, "child")
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			conn, c := connect(t, network, parent, "share", []string{child})
			_, err := policy(t, Allow{Executables: []string{parent}}).Check(conn)
			expect(t, err, "pid "+strings.TrimSpace(c.line)+` executable "`+child)
			_, err = policy(t, Allow{Executables: []string{child}}).Check(conn)
			expect(t, err, "pid "+strconv.Itoa(c.cmd.Process.Pid)+` executable "`+parent)
			_, err = policy(t, Allow{Executables: []string{parent, child}}).Check(conn)
			expect(t, err, "")
		})
	}
}

func TestCheckClientGone(t *testing.T) {
	prog := program(t, "client")
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			conn, c := connect(t, network, prog, "dial", nil)
			c.stop()
			_, err := policy(t, Allow{Executables: []string{prog}}).Check(conn)
			if network == "unix" {
				expect(t, err, "the process that connected has exited")
				return
			}
			expect(t, err, "the client has already closed its socket")
			_, err = policy(t, Allow{Users: []string{"root"}}).Check(conn)
			expect(t, err, "the client has already closed its socket")
			if id, err := Identify(conn); !errors.Is(err, errClientGone) || id.Known {
				t.Errorf("Identify is %+v, %v", id, err)
			}
		})
	}
}

// A listener on the client's port must not be taken for the client.
func TestCheckClientGoneListenerInstead(t *testing.T) {
	ln := listen(t, "tcp4")
	// An address of its own, on which nobody else takes the port meanwhile.
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}}
	c, err := from.Dial("tcp4", ln.Addr().String())
	must(t, err)
	conn := accept(t, ln)
	must(t, c.(*net.TCPConn).SetLinger(0))
	c.Close()
	second, err := net.Listen("tcp4", c.LocalAddr().String())
	must(t, err)
	defer second.Close()
	_, err = policy(t, Allow{Users: []string{strconv.Itoa(os.Getuid())}}).Check(conn)
	expect(t, err, "the client has already closed its socket")
}

// A client that has half-closed still is there.
func TestCheckHalfClosed(t *testing.T) {
	ln := listen(t, "tcp4")
	c, err := net.Dial("tcp4", ln.Addr().String())
	must(t, err)
	defer c.Close()
	conn := accept(t, ln)
	must(t, c.(*net.TCPConn).CloseWrite())
	_, err = policy(t, Allow{Users: []string{strconv.Itoa(os.Getuid())}, Executables: []string{"/proc/self/exe"}}).Check(conn)
	expect(t, err, "")
}

// A client's IPv6 socket can talk IPv4, and so can ours.
func TestCheckMappedAddresses(t *testing.T) {
	ln, err := net.Listen("tcp", "[::]:0")
	must(t, err)
	defer ln.Close()
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	p := policy(t, Allow{Executables: []string{"/proc/self/exe"}})
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		must(t, err)
		_, err = p.Check(accept(t, ln))
		expect(t, err, "")
		c.Close()
	}
}

func TestCheckMultipathTCP(t *testing.T) {
	prog := program(t, "client")
	conn, _ := connect(t, "tcp4", prog, "mptcp", nil)
	_, err := policy(t, Allow{Executables: []string{prog}}).Check(conn)
	expect(t, err, "")
}
