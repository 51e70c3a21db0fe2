package ssh

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/testenv"
)

// The client is told why nothing opens, in a banner, before it is let in.
func TestFailuresAreShownToTheClient(t *testing.T) {
	other, _ := newKey(t)
	_, unknownKey := newKey(t)
	mute := listenTo(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	hasty := listenTo(t, func(net.Conn) {})
	// One that says a word of its own, and hangs up over what it is sent.
	database := listenTo(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "I\x00\x00\x00\n10.11.19-MariaDB")
		_, _ = bufio.NewReader(conn).ReadString('\n')
	})
	// The same, which leaves unread what it was sent: the connection is reset.
	hastyDatabase := listenTo(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "I\x00\x00\x00\n10.11.19-MariaDB")
		_, _ = conn.Read(make([]byte, 1))
	})
	web := listenTo(t, func(conn net.Conn) { _, _ = io.WriteString(conn, strings.Repeat("HTTP/1.1 400 Bad Request\r\n", 2000)) })
	h := newHost(t)
	tests := map[string]struct {
		set       map[string]string
		lookup    error
		handshake time.Duration
		kind      connector.Kind
		want      []string
	}{
		"another host key": {
			set:  h.credentials("hostKey", authorizedKey(other.PublicKey())),
			kind: connector.KindTLS,
			want: []string{"is not the one that hostKey names", ssh.FingerprintSHA256(other.PublicKey()), ssh.FingerprintSHA256(h.key.PublicKey())},
		},
		"no host key":              {set: h.credentials("hostKey", ""), kind: connector.KindConfig, want: []string{"hostKey is absent or empty", "accept-any"}},
		"a broken host key":        {set: h.credentials("hostKey", "nonsense"), kind: connector.KindConfig, want: []string{"hostKey: line 1"}},
		"a wrong password":         {set: h.credentials("password", "wr0ng"), kind: connector.KindRejected, want: []string{`refused user "deploy" with password`, "check the credentials"}},
		"the client's user":        {set: h.credentials("password", "wr0ng", "user", ""), kind: connector.KindRejected, want: []string{`refused user "me" (the client's, since the credential user is absent) with password`}},
		"a method not taken":       {set: h.credentials("password", "", "privateKey", unknownKey), kind: connector.KindDenied, want: []string{`takes password for user "deploy"`}},
		"nothing to log in":        {set: h.credentials("password", ""), kind: connector.KindConfig, want: []string{"privateKey and password are both absent"}},
		"a broken private key":     {set: h.credentials("privateKey", "-----BEGIN nothing"), kind: connector.KindConfig, want: []string{"privateKey: "}},
		"a certificate alone":      {set: h.credentials("certificate", "x"), kind: connector.KindConfig, want: []string{"certificate is there without its privateKey"}},
		"nobody listening":         {set: h.credentials("address", testenv.Refusing(t).String()), kind: connector.KindConnect, want: []string{"connection refused; check that the target runs there and the credential address"}},
		"no such name":             {set: h.credentials("address", "nowhere.invalid"), kind: connector.KindResolve, want: []string{"nowhere.invalid:22", "no such host; check the credential address, and the name server"}},
		"a mute target":            {set: h.credentials("address", mute), handshake: 300 * time.Millisecond, kind: connector.KindTimeout, want: []string{"SSH key exchange", "did not answer in time"}},
		"a target that hangs up":   {set: h.credentials("address", hasty), kind: connector.KindTargetLost, want: []string{"closed the connection"}},
		"a target of another kind": {set: h.credentials("address", web), kind: connector.KindProtocol, want: []string{"does not speak SSH"}},
		"a database":               {set: h.credentials("address", database), kind: connector.KindProtocol, want: []string{"closed the connection without a word of SSH; does it speak SSH?"}},
		"a database that resets":   {set: h.credentials("address", hastyDatabase), kind: connector.KindProtocol, want: []string{"closed the connection without a word of SSH"}},
		"a provider that fails":    {lookup: errors.New("vault: sealed"), kind: connector.KindCredentials, want: []string{"vault: sealed"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{}, test.set)
			f.Err = test.lookup
			if test.handshake > 0 {
				f.handshake = test.handshake
			}
			client, err := f.connect()
			if err == nil {
				_ = client.Close()
				t.Fatal("let in")
			}
			for _, want := range append(test.want, "secretless: host: ") {
				if !strings.Contains(client.banner, want) {
					t.Errorf("the banner lacks %q: %s", want, client.banner)
				}
			}
			if got := connector.KindOf(f.result()); got != test.kind {
				t.Errorf("got kind %v, want %v: %v", got, test.kind, f.result())
			}
			if strings.Contains(client.banner+f.log.String(), testPassword) {
				t.Error("the password is shown")
			}
		})
	}
}

// listenTo serves each connection with serve and closes it then.
func listenTo(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// After a failure the client is not asked for credentials of its own.
func TestFailedClientIsNotAskedForAPassword(t *testing.T) {
	f := newFront(t, Config{}, newHost(t).credentials("password", "wr0ng"))
	asked := false
	_, err := f.connect(ssh.PasswordCallback(func() (string, error) { asked = true; return "x", nil }))
	if err == nil || asked {
		t.Errorf("asked: %t, %v", asked, err)
	}
	if got := f.Counts(); got != "1 lookups, 1 rejected, 0 accepted" {
		t.Error(got)
	}
}

// forced has a client try a method although it could come in without.
func forced(method ssh.AuthMethod) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User: "me", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		AuthCallback: func(*ssh.ClientAuthContext) (ssh.AuthMethod, error) { return method, nil },
	}
}

// The client's own credentials are taken, whatever they are, where a method
// other than none decides: here the callbacks are run as the library would.
func TestAnyCredentialOfTheClientIsTaken(t *testing.T) {
	key, _ := newKey(t)
	for name, method := range map[string]ssh.AuthMethod{
		"password": ssh.Password("anything"), "publickey": ssh.PublicKeys(key),
		"keyboard-interactive": ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := newKey(t)
			logins := 0
			a := &admission{ctx: t.Context(), conn: &clientConn{}, releasing: &releasing{}, login: func(_ context.Context, client ssh.ConnMetadata, _ func(string)) error {
				logins++
				if user := client.User(); user != "me" {
					t.Errorf("user %q", user)
				}
				return nil
			}}
			config := a.config(server)
			config.NoClientAuth = false
			done := make(chan error, 1)
			address := listenTo(t, func(far net.Conn) {
				conn, channels, requests, err := ssh.NewServerConn(far, config)
				done <- err
				if err == nil {
					side{conn, channels, requests}.close()
				}
			})
			conn, channels, requests, err := ssh.NewClientConn(dial(t, address), "", forced(method))
			if err != nil || <-done != nil || logins != 1 {
				t.Fatal(err, logins)
			}
			side{conn, channels, requests}.close()
		})
	}
}

func TestProbeCostsNothing(t *testing.T) {
	h := newHost(t)
	for name, probe := range map[string]func(net.Conn){
		"says nothing": func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"closes":       func(net.Conn) {},
		"a version": func(conn net.Conn) {
			_, _ = io.WriteString(conn, "SSH-2.0-probe\r\n")
			_, _ = io.ReadFull(conn, make([]byte, len(versionOpenSSH)+100)) // and its KEXINIT
		},
		"keyscan": func(conn net.Conn) {
			stop := errors.New("seen")
			_, _, _, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{
				HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return stop },
			})
			if !errors.Is(err, stop) {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{}, h.credentials())
			f.handshake = 200 * time.Millisecond
			conn, err := net.Dial("tcp", f.addr())
			if err != nil {
				t.Fatal(err)
			}
			probe(conn)
			_ = conn.Close()
			err = f.result()
			if quiet := name == "says nothing" || name == "closes"; quiet != (err == nil) {
				t.Errorf("ended with %v", err)
			}
			if f.Lookups() != 0 || h.accepted() != 0 {
				t.Errorf("%d lookups, %d connections to the target", f.Lookups(), h.accepted())
			}
		})
	}
}

func TestClientThatDoesNotSpeakSSH(t *testing.T) {
	f := newFront(t, Config{}, newHost(t).credentials())
	conn, err := net.Dial("tcp", f.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "SSH-2.0-x\r\n"+strings.Repeat("\xff", 40000))
	if err := f.result(); connector.KindOf(err) != connector.KindProtocol {
		t.Errorf("got %v", err)
	}
}

func TestRotatedPasswordIsFetchedAgain(t *testing.T) {
	h := newHost(t)
	f := newFront(t, Config{}, h.credentials("password", "0ld"), h.credentials())
	f.Cached = true
	client := f.client()
	if got, _, err := client.run(t, "cat", "x"); got != "x" || err != nil {
		t.Error(got, err)
	}
	if got := f.Counts(); got != "2 lookups, 1 rejected, 1 accepted" {
		t.Error(got)
	}
	if client.banner != "" {
		t.Errorf("the client was shown %q", client.banner)
	}
}

func TestUserIsTheClientsWhereNoneIsGiven(t *testing.T) {
	h := newHost(t)
	newFront(t, Config{}, h.credentials("user", "")).client()
	newFront(t, Config{}, h.credentials()).client()
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := strings.Join(h.users, " "); got != "me deploy" {
		t.Errorf("got %s", got)
	}
}

func TestBannerOfTheTargetReachesTheClient(t *testing.T) {
	h := newHost(t)
	h.config.BannerCallback = func(ssh.ConnMetadata) string { return "authorised use only\n" }
	if got := newFront(t, Config{}, h.credentials()).client().banner; got != "authorised use only\n" {
		t.Errorf("got %q", got)
	}
}

func TestKeyboardInteractivePassword(t *testing.T) {
	for name, test := range map[string]struct {
		ask  func(ssh.KeyboardInteractiveChallenge) error
		want string // of the banner; empty: let in
	}{
		"a password": {func(ask ssh.KeyboardInteractiveChallenge) error {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err == nil && answers[0] != testPassword {
				err = errors.New("wrong")
			}
			_, _ = ask("", "a notice", nil, nil)
			return err
		}, ""},
		"a code": {func(ask ssh.KeyboardInteractiveChallenge) error {
			_, err := ask("", "", []string{"Password: ", "Code: "}, []bool{false, false})
			return err
		}, "more than a password"},
		"a name": {func(ask ssh.KeyboardInteractiveChallenge) error {
			_, err := ask("", "", []string{"Name: "}, []bool{true})
			return err
		}, "more than a password"},
		"twice": {func(ask ssh.KeyboardInteractiveChallenge) error {
			_, _ = ask("", "", []string{"Password: "}, []bool{false})
			_, err := ask("", "", []string{"Again: "}, []bool{false})
			return err
		}, "after the password"},
		"no question": {
			func(ssh.KeyboardInteractiveChallenge) error { return errors.New("no device") },
			`refused user "deploy" with keyboard-interactive; check the credentials of the service, and the target's log` + "\r\n",
		},
		"without end": {func(ask ssh.KeyboardInteractiveChallenge) (err error) {
			for err == nil {
				_, err = ask("", "a notice", nil, nil)
			}
			return err
		}, "keeps asking"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.config.PasswordCallback = nil
			h.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				return nil, test.ask(ask)
			}
			f := newFront(t, Config{}, h.credentials())
			client, err := f.connect()
			if err == nil {
				_ = client.Close()
			}
			if (err == nil) != (test.want == "") || !strings.Contains(client.banner, test.want) {
				t.Errorf("got %v; banner %s", err, client.banner)
			}
		})
	}
}

func TestRefusedClientIsTold(t *testing.T) {
	f := newFront(t, Config{}, newHost(t).credentials())
	f.refuse = &connector.Failure{Kind: connector.KindLimit, Err: errors.New("the service has 500 connections already")}
	client, err := f.connect()
	if err == nil || client.banner != "secretless: host: the service has 500 connections already\r\n" {
		t.Errorf("%v, %q", err, client.banner)
	}
	if err := f.result(); err != nil || f.Lookups() != 0 {
		t.Errorf("%v, %d lookups", err, f.Lookups())
	}
}
