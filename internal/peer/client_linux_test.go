package peer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func untilEOF() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// inherit starts program with conn's socket and, when it is to share it,
// stays.
func inherit(conn net.Conn, program string, share bool) error {
	file, err := conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(program)
	cmd.Env = []string{helperVar + "=hold"}
	cmd.Stdin = os.Stdin
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println(cmd.Process.Pid)
	if !share {
		return nil
	}
	return errors.Join(untilEOF(), cmd.Wait())
}

// client is a running client process.
type client struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	line  string // what it said once it was connected
}

type option func(*exec.Cmd)

// as runs the client under other ids.
func as(uid, gid uint32, groups ...uint32) option {
	return func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	}
}

// start runs program as a client; it ends with the test.
func start(t testing.TB, program, mode string, args []string, options ...option) *client {
	t.Helper()
	c := &client{cmd: exec.Command(program, args...)}
	c.cmd.Env = []string{helperVar + "=" + mode}
	c.cmd.Stderr = os.Stderr
	c.cmd.Dir = "/"
	for _, o := range options {
		o(c.cmd)
	}
	stdin, err := c.cmd.StdinPipe()
	must(t, err)
	stdout, err := c.cmd.StdoutPipe()
	must(t, err)
	must(t, c.cmd.Start())
	c.stdin = stdin
	t.Cleanup(c.stop)
	if c.line, err = bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("the client said nothing: %v", err)
	}
	return c
}

// stop ends the client; it may be called again.
func (c *client) stop() {
	c.stdin.Close()
	_ = c.cmd.Wait()
}

// connect starts a client against a new listener and accepts it.
func connect(t testing.TB, network, program, mode string, more []string, options ...option) (net.Conn, *client) {
	t.Helper()
	ln := listen(t, network)
	args := append([]string{network, ln.Addr().String()}, more...)
	c := start(t, program, mode, args, options...)
	return accept(t, ln), c
}

func accept(t testing.TB, ln net.Listener) net.Conn {
	t.Helper()
	if d, ok := ln.(interface{ SetDeadline(time.Time) error }); ok {
		must(t, d.SetDeadline(time.Now().Add(10*time.Second)))
	}
	conn, err := ln.Accept()
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// listen opens a listener that any user may connect to.
func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	address := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
	if network == "unix" {
		address = filepath.Join(publicDir(t), "s")
	}
	ln, err := net.Listen(network, address)
	if network == "tcp6" && err != nil {
		t.Skipf("no IPv6 on loopback here: %v", err)
	}
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	if network == "unix" {
		must(t, os.Chmod(address, 0o666))
	}
	return ln
}

// publicDir is a directory that other users reach, unlike t.TempDir.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "peer")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// program is a copy of the test binary, a program of its own.
func program(t testing.TB, name string) string {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	path := filepath.Join(publicDir(t), name)
	must(t, os.WriteFile(path, self, 0o755))
	return path
}

func policy(t testing.TB, a Allow) *Policy {
	t.Helper()
	p, err := NewPolicy(a)
	must(t, err)
	return p
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run clients as other users")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
