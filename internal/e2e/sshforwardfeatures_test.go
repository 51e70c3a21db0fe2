//go:build linux

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/testenv"
)

func sshForwardFeatures() []sshFeature {
	return []sshFeature{
		{name: "A local port to a port there", how: "`ssh -L`, 300 kB there and back, each side's end by itself", try: localToTCP},
		{name: "A local socket to a socket there", how: "`ssh -L here.sock:there.sock`", try: localToSocket},
		{name: "Many connections at once", how: "40 of them through one `ssh -L`", try: manyForwards},
		{name: "SOCKS", how: "`ssh -D`", try: dynamicForward},
		{name: "Input and output to a port there", how: "`ssh -W`", try: standardForward},
		{name: "A jump host", how: "`ssh -J`, ProxyCommand with `ssh -W`: through it to the server once more", try: jump},
		{name: "A port there to one here", how: "`ssh -R port`", try: remoteFixed},
		{name: "A port that the server picks", how: "`ssh -R 0`, its number told", try: remotePicked},
		{name: "A socket there to a port here", how: "`ssh -R there.sock:host:port`", try: remoteSocket},
		{name: "SOCKS on the server", how: "`ssh -R port` alone", try: remoteDynamic},
		{name: "A forward to where nobody listens", how: "the server's reason is shown", try: forwardToNobody},
		{name: "A port there that is taken", how: "`ssh -R` fails with ExitOnForwardFailure", try: remoteTaken},
		{name: "Forwards that end while others stay", how: "`ssh -O forward`, `ssh -O cancel`", try: cancelForward},
		{
			name: "X11", how: "x11-req, a connection to $DISPLAY (Go's client)", try: forwardX11,
			differs: "whoever is root on the target could watch the user's display; the service has to allow it",
		},
		{name: "X11 where the service allows it", how: "the same with `x11Forwarding: true`", try: allowing(forwardX11)},
		{
			name: "The client's agent", how: "`ssh -A`", try: forwardAgent,
			differs: "whoever is root on the target could use every key of the user's agent; the service has to allow it",
		},
		{name: "The client's agent where the service allows it", how: "the same with `agentForwarding: true`", try: allowing(forwardAgent)},
	}
}

// allowing tries a feature where the service allows what it does not by itself.
func allowing(try func(*testing.T, sshPlace) error) func(*testing.T, sshPlace) error {
	return func(t *testing.T, p sshPlace) error {
		if p.allowing != nil {
			p = *p.allowing
		}
		return try(t, p)
	}
}

func (p sshPlace) forwards(t *testing.T, talk func() error, options ...string) error {
	t.Helper()
	h, err := p.hold(t, options...)
	if err != nil {
		return err
	}
	return errors.Join(talk(), h.stop())
}

func localToTCP(t *testing.T, p sshPlace) error {
	far, port := farEnd(t, "tcp", "127.0.0.1:0"), testenv.FreePort(t)
	return p.forwards(t, func() error { return talk("tcp", fmt.Sprintf("127.0.0.1:%d", port)) },
		"-L", fmt.Sprintf("%d:%s", port, far.Addr()))
}

func localToSocket(t *testing.T, p sshPlace) error {
	dir, err := os.MkdirTemp(p.dir, "l")
	if err != nil {
		return err
	}
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	farEnd(t, "unix", there)
	return p.forwards(t, func() error { return talk("unix", here) }, "-L", here+":"+there)
}

func manyForwards(t *testing.T, p sshPlace) error {
	dir, err := os.MkdirTemp(p.dir, "m")
	if err != nil {
		return err
	}
	far, here := farEnd(t, "tcp", "127.0.0.1:0"), filepath.Join(dir, "here")
	all := func() error {
		var owned sync.WaitGroup
		failures := make(chan error, 40)
		for range cap(failures) {
			owned.Go(func() { failures <- talk("unix", here) })
		}
		owned.Wait()
		close(failures)
		var err error
		for failure := range failures {
			err = errors.Join(err, failure)
		}
		return err
	}
	return p.forwards(t, all, "-L", here+":"+far.Addr().String())
}

func dynamicForward(t *testing.T, p sshPlace) error {
	far, port := farEnd(t, "tcp", "127.0.0.1:0"), testenv.FreePort(t)
	return p.forwards(t, func() error { return talkBySOCKS(fmt.Sprintf("127.0.0.1:%d", port), far.Addr()) }, "-D", fmt.Sprint(port))
}

func standardForward(t *testing.T, p sshPlace) error {
	far, words := farEnd(t, "tcp", "127.0.0.1:0"), string(randomBytes(300_000))
	return p.ssh(t, strings.NewReader(words), "", "-W", far.Addr().String()).prints(words + lastWord)
}

// The host is reached from itself by the address and as the user that it is
// reached by from here.
func jump(t *testing.T, p sshPlace) error {
	config, err := os.ReadFile(p.Config)
	if err != nil {
		return err
	}
	behind := strings.Replace(string(config), "Host target", "Host target jumped piped", 1) +
		"Host piped\nProxyCommand ssh -F " + p.Config + " -W 127.0.0.1:%p target\n"
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(behind), 0o600); err != nil {
		return err
	}
	return errors.Join(
		p.run(t, nil, "ssh", "-F", path, "piped", "echo hello").prints("hello\n"),
		p.run(t, nil, "ssh", "-F", path, "-J", "target", "jumped", "echo hello").prints("hello\n"),
	)
}

func remoteFixed(t *testing.T, p sshPlace) error {
	far, port := farEnd(t, "tcp", "127.0.0.1:0"), testenv.FreePort(t)
	return p.forwards(t, func() error { return talk("tcp", fmt.Sprintf("127.0.0.1:%d", port)) },
		"-R", fmt.Sprintf("%d:%s", port, far.Addr()))
}

func remotePicked(t *testing.T, p sshPlace) error {
	far := farEnd(t, "tcp", "127.0.0.1:0")
	h, err := p.hold(t, "-o", "LogLevel=INFO", "-R", "0:"+far.Addr().String())
	if err != nil {
		return err
	}
	told := regexp.MustCompile(`Allocated port (\d+) for remote forward`).FindStringSubmatch(h.err.String())
	if told == nil {
		return fmt.Errorf("no port is told: %s", h.err)
	}
	return errors.Join(talk("tcp", "127.0.0.1:"+told[1]), h.stop())
}

func remoteSocket(t *testing.T, p sshPlace) error {
	dir, err := os.MkdirTemp(p.dir, "r")
	if err != nil {
		return err
	}
	far, there := farEnd(t, "tcp", "127.0.0.1:0"), filepath.Join(dir, "there")
	return p.forwards(t, func() error { return talk("unix", there) }, "-R", there+":"+far.Addr().String())
}

func remoteDynamic(t *testing.T, p sshPlace) error {
	far, port := farEnd(t, "tcp", "127.0.0.1:0"), testenv.FreePort(t)
	return p.forwards(t, func() error { return talkBySOCKS(fmt.Sprintf("127.0.0.1:%d", port), far.Addr()) }, "-R", fmt.Sprint(port))
}

func forwardToNobody(t *testing.T, p sshPlace) error {
	nobody := testenv.Refusing(t).String()
	return p.ssh(t, nil, "", "-o", "LogLevel=INFO", "-W", nobody).fails("open failed: connect failed: Connection refused")
}

func remoteTaken(t *testing.T, p sshPlace) error {
	far := farEnd(t, "tcp", "127.0.0.1:0")
	taken := far.Addr().(*net.TCPAddr).Port
	return p.ssh(t, nil, "echo not reached", "-o", "ExitOnForwardFailure=yes", "-R", fmt.Sprintf("%d:%s", taken, far.Addr())).
		fails("remote port forwarding failed for listen port")
}

func cancelForward(t *testing.T, p sshPlace) error {
	control := filepath.Join(t.TempDir(), "c")
	stop, err := p.master(t, control)
	if err != nil {
		return err
	}
	far, port, other := farEnd(t, "tcp", "127.0.0.1:0"), testenv.FreePort(t), testenv.FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	what, stays := fmt.Sprintf("%d:%s", port, far.Addr()), fmt.Sprintf("%d:%s", other, far.Addr())
	err = errors.Join(
		p.ssh(t, nil, "", "-S", control, "-O", "forward", "-R", what).prints(""),
		p.ssh(t, nil, "", "-S", control, "-O", "forward", "-R", stays).prints(""),
		talk("tcp", address),
		p.ssh(t, nil, "", "-S", control, "-O", "cancel", "-R", what).prints(""),
		talk("tcp", fmt.Sprintf("127.0.0.1:%d", other)),
	)
	if err != nil {
		return err
	}
	// ssh asks for the end without waiting for it.
	gone := await(func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if !gone {
		return errors.New("the server still listens")
	}
	return stop()
}

// forwardX11 sends nothing of X11: the server relays whatever comes.
func forwardX11(t *testing.T, p sshPlace) error {
	client, err := p.dial(t)
	if err != nil {
		return err
	}
	offered := client.HandleChannelOpen("x11")
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	request := ssh.Marshal(struct {
		Single           bool
		Protocol, Cookie string
		Screen           uint32
	}{false, "MIT-MAGIC-COOKIE-1", "00112233445566778899aabbccddeeff", 0})
	if ok, err := session.SendRequest("x11-req", true, request); !ok || err != nil {
		return fmt.Errorf("the request: %v, %w", ok, err)
	}
	go func() {
		for o := range offered {
			channel, requests, err := o.Accept()
			if err != nil {
				continue
			}
			go ssh.DiscardRequests(requests)
			_, _ = io.WriteString(channel, "from the display\n")
			_ = channel.Close()
		}
	}()
	out, err := session.Output(`bash -c 'n=${DISPLAY#*:}; exec 3<>/dev/tcp/127.0.0.1/$((6000+${n%.*})); cat <&3'`)
	if err != nil || string(out) != "from the display\n" {
		return fmt.Errorf("the command prints %q, %w", out, err)
	}
	return nil
}

// forwardAgent asks the agent here from there. The agent has no keys, and says
// so.
func forwardAgent(t *testing.T, p sshPlace) error {
	dir, err := os.MkdirTemp(p.dir, "a")
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "agent")
	agent, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	var owned sync.WaitGroup
	owned.Go(func() {
		for {
			conn, err := agent.Accept()
			if err != nil {
				return
			}
			owned.Go(func() { noKeys(conn) })
		}
	})
	defer owned.Wait()
	defer agent.Close()
	got := p.ssh(t, nil, "ssh-add -l", "-A", "-o", "IdentityAgent="+socket)
	return got.ended(1, "The agent has no identities.\n")
}

// noKeys answers each question with an empty list of identities.
func noKeys(conn net.Conn) {
	defer conn.Close()
	for {
		var length uint32
		if binary.Read(conn, binary.BigEndian, &length) != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(length)); err != nil {
			return
		}
		const identitiesAnswer = 12
		if _, err := conn.Write([]byte{0, 0, 0, 5, identitiesAnswer, 0, 0, 0, 0}); err != nil {
			return
		}
	}
}
