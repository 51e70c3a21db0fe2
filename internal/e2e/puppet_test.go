//go:build unix

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// puppetVariable in the environment makes the test binary a puppet: "dial
// ADDRESS" or "listen".
const puppetVariable = "SECRETLESS_E2E_PUPPET"

// party is one end of a broker's connections, played by a test: a socket, or
// a process that can be killed as only a process can.
type party interface {
	io.ReadWriter
	// kill ends it as kill -9 does.
	kill()
}

// puppet is a process of its own whose one connection is moved by the test,
// through its standard input and output.
type puppet struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (p *puppet) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *puppet) Write(b []byte) (int, error) { return p.in.Write(b) }
func (p *puppet) kill()                       { _ = p.cmd.Process.Kill() }

func newPuppet(t *testing.T, role string) *puppet {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), puppetVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &puppet{cmd: cmd, in: in, out: bufio.NewReader(out)}
}

// listening is the address of a puppet that listens.
func (p *puppet) listening(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// bePuppet is the puppet's main program; it returns its exit code.
func bePuppet(role string) int {
	conn, err := puppetConn(role)
	if err != nil {
		fmt.Fprintln(os.Stderr, "puppet:", err)
		return 1
	}
	go func() { _, _ = io.Copy(conn, os.Stdin) }()
	_, _ = io.Copy(os.Stdout, conn)
	return 0
}

func puppetConn(role string) (net.Conn, error) {
	if address, ok := strings.CutPrefix(role, "dial "); ok {
		return net.Dial("tcp", address)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	fmt.Println(l.Addr())
	conn, err := l.Accept()
	_ = l.Close()
	return conn, err
}

// socket is a party in the test's own process.
type socket struct{ net.Conn }

func (s socket) kill() { _ = s.Close() }
