package testenv

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// SSHPassword is an SSH server that logs users in by password, which OpenSSH's
// own cannot do here: it would ask for the machine's accounts. It answers every
// command with "ran: " and the command.
type SSHPassword struct {
	User    User
	Port    int
	HostKey string // a line of authorized_keys

	listener net.Listener
	config   *ssh.ServerConfig
	owned    sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
	attempts int
}

// SSHPasswordServer starts one that ends with the test. Method is password or
// keyboard-interactive; it offers no other.
func SSHPasswordServer(t testing.TB, method string) *SSHPassword {
	t.Helper()
	key, err := newSSHKey("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey([]byte(key.Private))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &SSHPassword{
		User: User{Name: "keeper", Password: rand.Text()}, Port: listener.Addr().(*net.TCPAddr).Port,
		HostKey: key.Public, listener: listener, config: &ssh.ServerConfig{},
	}
	s.config.AddHostKey(signer)
	switch method {
	case "password":
		s.config.PasswordCallback = func(who ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return s.judge(who, string(password))
		}
	case "keyboard-interactive":
		s.config.KeyboardInteractiveCallback = s.ask
	default:
		t.Fatalf("no method %q", method)
	}
	s.owned.Go(s.serve)
	t.Cleanup(s.stop)
	return s
}

// Attempts is how many passwords have been tried.
func (s *SSHPassword) Attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempts
}

func (s *SSHPassword) judge(who ssh.ConnMetadata, password string) (*ssh.Permissions, error) {
	s.mu.Lock()
	s.attempts++
	s.mu.Unlock()
	if who.User() == s.User.Name && subtle.ConstantTimeCompare([]byte(password), []byte(s.User.Password)) == 1 {
		return nil, nil
	}
	return nil, errors.New("wrong password")
}

func (s *SSHPassword) ask(who ssh.ConnMetadata, challenge ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	answers, err := challenge("", "", []string{"Password: "}, []bool{false})
	if err != nil {
		return nil, err
	}
	return s.judge(who, strings.Join(answers, ""))
}

func (s *SSHPassword) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
		s.owned.Go(func() { s.session(conn) })
	}
}

func (s *SSHPassword) session(conn net.Conn) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	defer server.Close()
	s.owned.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		if channel, asked, err := offered.Accept(); err == nil {
			s.owned.Go(func() { answer(channel, asked) })
		}
	}
}

// answer runs no command: it says which it was asked for.
func answer(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		ok := r.Type == "exec" && len(r.Payload) >= 4
		_ = r.Reply(ok, nil)
		if ok {
			_, _ = channel.Write([]byte("ran: " + string(r.Payload[4:]) + "\n"))
			_, _ = channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, 0))
			return
		}
	}
}

func (s *SSHPassword) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.owned.Wait()
}
