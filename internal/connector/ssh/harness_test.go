package ssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/connectortest"
	"secretless/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const testPassword = "open-sesame-8731"

// newKey is a private key and its text.
func newKey(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

func authorizedKey(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

// host is a target: an SSH server in this process that a test scripts.
type host struct {
	t        testing.TB
	listener net.Listener
	key      ssh.Signer
	config   *ssh.ServerConfig
	// serve has the connection after the login; nil runs commands.
	serve func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request)

	// wrap, if not nil, is put around what is accepted.
	wrap func(net.Conn) net.Conn

	started sync.Once
	running sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]bool
	total   int
	users   []string
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{t: t, conns: map[net.Conn]bool{}}
	h.key, _ = newKey(t)
	h.config = &ssh.ServerConfig{
		PasswordCallback: func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.users = append(h.users, m.User())
			if string(password) != testPassword {
				return nil, errors.New("wrong")
			}
			return nil, nil
		},
	}
	h.config.AddHostKey(h.key)
	var err error
	if h.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.listener.Close()
		h.kill()
		h.running.Wait()
	})
	return h
}

// kill breaks every connection off.
func (h *host) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for conn := range h.conns {
		_ = conn.Close()
	}
}

func (h *host) accepted() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// credentials are a set that is right for h.
func (h *host) credentials(changes ...string) map[string]string {
	h.started.Do(func() { h.running.Go(h.accept) })
	out := map[string]string{
		"address": h.listener.Addr().String(), "user": "deploy", "password": testPassword,
		"hostKey": authorizedKey(h.key.PublicKey()),
	}
	for i := 0; i < len(changes); i += 2 {
		out[changes[i]] = changes[i+1]
	}
	return out
}

func (h *host) accept() {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns[conn] = true
		h.total++
		h.mu.Unlock()
		h.running.Go(func() { h.converse(conn) })
	}
}

func (h *host) converse(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if h.wrap != nil {
		conn = h.wrap(conn)
	}
	server, channels, requests, err := ssh.NewServerConn(conn, h.config)
	if err != nil {
		return
	}
	if h.serve != nil {
		h.serve(server, channels, requests)
		_ = server.Close()
		side{server, channels, requests}.close()
		return
	}
	var all sync.WaitGroup
	all.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		all.Go(func() { runSession(offered) })
	}
	all.Wait()
}

// runSession is a shell of few words.
func runSession(offered ssh.NewChannel) {
	if offered.ChannelType() != channelSession {
		_ = offered.Reject(ssh.Prohibited, "sessions only")
		return
	}
	ch, requests, err := offered.Accept()
	if err != nil {
		return
	}
	var program sync.WaitGroup
	for r := range requests {
		if r.Type != requestExec {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		program.Go(func() { runCommand(ch, string(r.Payload[4:])) })
	}
	program.Wait()
}

func runCommand(ch ssh.Channel, command string) {
	defer func() { _ = ch.Close() }()
	word, rest, _ := strings.Cut(command, " ")
	switch word {
	case "exit":
		_, _ = ch.SendRequest(requestStatus, false, ssh.Marshal(struct{ N uint32 }{uint32(len(rest))}))
	case "signal":
		_, _ = ch.SendRequest(requestSignal, false, ssh.Marshal(struct {
			Name string
			Core bool
			Text string
			Lang string
		}{rest, false, "killed", ""}))
	case "both":
		_, _ = io.WriteString(ch, "to stdout")
		_, _ = io.WriteString(ch.Stderr(), "to stderr")
		_, _ = ch.SendRequest(requestStatus, false, []byte{0, 0, 0, 3})
	case "cat":
		_, _ = io.Copy(ch, ch)
		_ = ch.CloseWrite()
		_, _ = ch.SendRequest(requestStatus, false, []byte{0, 0, 0, 0})
	case "wait":
		_, _ = io.Copy(io.Discard, ch)
	}
}

// front is a broker of one service.
type front struct {
	*connectortest.Answers
	t           testing.TB
	c           *Connector
	refuse      *connector.Failure
	clientTLS   *tls.Config
	handshake   time.Duration
	listener    net.Listener
	ctx         context.Context
	stop        context.CancelCauseFunc
	started     sync.Once
	running     sync.WaitGroup
	mu          sync.Mutex
	errs        []error
	established int
	log         *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newFront(t testing.TB, config Config, sets ...map[string]string) *front {
	t.Helper()
	f := &front{Answers: &connectortest.Answers{Sets: sets}, t: t, handshake: 10 * time.Second, log: &syncBuffer{}}
	dir, given := t.TempDir(), []string{"hostKey"}
	if _, ok := sets[0][credentialServerKey]; ok {
		given = append(given, credentialServerKey)
	}
	built, err := build(config, connector.Setup{
		Service: "host", Credentials: given,
		StateDir: func() (string, error) { return dir, nil },
		Log:      slog.New(slog.NewTextHandler(f.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.c = built.(*Connector)
	if err := f.c.Start(); err != nil {
		t.Fatal(err)
	}
	f.ctx, f.stop = context.WithCancelCause(context.Background())
	if f.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.finish)
	return f
}

// finish ends every connection and waits for it.
func (f *front) finish() {
	_ = f.listener.Close()
	f.stop(errors.New("the test ended"))
	f.running.Wait()
}

func (f *front) addr() string {
	f.started.Do(func() {
		f.running.Go(func() {
			for {
				conn, err := f.listener.Accept()
				if err != nil {
					return
				}
				f.running.Go(func() { f.serve(conn) })
			}
		})
	})
	return f.listener.Addr().String()
}

func (f *front) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	timer := time.AfterFunc(f.handshake, func() {
		cancel(&connector.Failure{Kind: connector.KindTimeout, Err: errors.New("the handshake took too long")})
	})
	defer timer.Stop()
	defer context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	})()
	s := &connector.Session{
		Service: "host", Client: conn, Log: slog.New(slog.NewTextHandler(f.log, nil)), Credentials: f.Answers, ClientTLS: f.clientTLS,
		ConnectTimeout: 5 * time.Second,
		OnEstablished: func() {
			timer.Stop()
			f.mu.Lock()
			f.established++
			f.mu.Unlock()
		},
	}
	var err error
	if f.refuse != nil {
		err = f.c.Refuse(ctx, s, f.refuse)
	} else {
		err = f.c.ServeConn(ctx, s)
	}
	f.mu.Lock()
	f.errs = append(f.errs, err)
	f.mu.Unlock()
	_ = conn.SetDeadline(time.Time{})
	if half, ok := conn.(*net.TCPConn); ok && half.CloseWrite() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = io.Copy(io.Discard, conn)
	}
}

// result is what the first connection ended with; it waits for that.
func (f *front) result() error {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		f.mu.Lock()
		if len(f.errs) > 0 {
			err := f.errs[0]
			f.mu.Unlock()
			return err
		}
		f.mu.Unlock()
	}
	f.t.Fatal("the connection did not end")
	return nil
}

// dialed is a client of a front.
type dialed struct {
	*ssh.Client
	banner string
}

func (f *front) connect(auth ...ssh.AuthMethod) (*dialed, error) {
	out := &dialed{}
	client, err := ssh.Dial("tcp", f.addr(), &ssh.ClientConfig{
		User: "me", Auth: auth, Timeout: 10 * time.Second,
		HostKeyCallback: ssh.FixedHostKey(f.c.host.last().PublicKey()),
		BannerCallback:  func(text string) error { out.banner += text; return nil },
	})
	out.Client = client
	return out, err
}

func (f *front) client() *dialed {
	f.t.Helper()
	out, err := f.connect()
	if err != nil {
		f.t.Fatalf("%v; banner: %s", err, out.banner)
	}
	f.t.Cleanup(func() { _ = out.Close() })
	return out
}

func (d *dialed) run(t testing.TB, command, input string) (stdout, stderr string, err error) {
	t.Helper()
	s, err := d.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var out, errs bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(input), &out, &errs
	err = s.Run(command)
	return out.String(), errs.String(), err
}
