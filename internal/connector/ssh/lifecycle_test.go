package ssh

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
)

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func readAll(r io.Reader) string {
	b, _ := io.ReadAll(r)
	return string(b)
}

// session starts a command on a client.
func session(t *testing.T, client *dialed, command string) (ssh.Channel, <-chan *ssh.Request) {
	t.Helper()
	ch, requests, err := client.OpenChannel(channelSession, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := ch.SendRequest(requestExec, true, ssh.Marshal(struct{ C string }{command})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return ch, requests
}

func TestStopEndsSessions(t *testing.T) {
	f := newFront(t, Config{}, newHost(t).credentials())
	client := f.client()
	session(t, client, "wait")
	f.stop(errors.New("the service stops"))
	_ = client.Wait()
	if err := f.result(); err != nil {
		t.Error(err)
	}
	if f.established != 1 {
		t.Errorf("established %d times", f.established)
	}
}

func TestLostTargetEndsTheClient(t *testing.T) {
	h := newHost(t)
	f := newFront(t, Config{}, h.credentials())
	client := f.client()
	ch, requests := session(t, client, "wait")
	h.kill()
	if got := readAll(ch); got != "" {
		t.Errorf("got %q", got)
	}
	for r := range requests {
		t.Errorf("a request: %s", r.Type)
	}
	_ = client.Wait()
	if err := f.result(); err != nil {
		t.Error(err)
	}
}

func TestLostClientEndsTheTarget(t *testing.T) {
	h := newHost(t)
	f := newFront(t, Config{}, h.credentials())
	client := f.client()
	session(t, client, "wait")
	_ = client.Close()
	if err := f.result(); err != nil {
		t.Error(err)
	}
}

// Output that was sent before an exit status comes before it, and what was sent
// before the end of a connection before that.
func TestOutputIsNotOvertaken(t *testing.T) {
	h := newHost(t)
	output := strings.Repeat("x", 1<<20)
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		ch, theirs, err := (<-channels).Accept()
		if err != nil {
			t.Error(err)
			return
		}
		_ = (<-theirs).Reply(true, nil)
		_, _ = io.WriteString(ch, output)
		_, _ = ch.SendRequest(requestStatus, false, []byte{0, 0, 0, 9})
		_ = ch.Close()
		_ = conn.Wait() // a reset would take what is on its way
	}
	for range 20 {
		client := newFront(t, Config{}, h.credentials()).client()
		stdout, _, err := client.run(t, "it", "")
		if e, ok := errors.AsType[*ssh.ExitError](err); !ok || e.ExitStatus() != 9 || stdout != output {
			t.Fatalf("%d bytes, %v", len(stdout), err)
		}
		_ = client.Close()
	}
}

// Input does not reach the target before the request that says what it is for.
func TestInputWaitsForItsProgram(t *testing.T) {
	h := newHost(t)
	h.serve = func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		ch, theirs, err := (<-channels).Accept()
		if err != nil {
			t.Error(err)
			return
		}
		var early sync.WaitGroup
		begun := make(chan struct{})
		early.Go(func() {
			b := make([]byte, 5)
			_, _ = io.ReadFull(ch, b)
			select {
			case <-begun:
			default:
				t.Error("input came before its program")
			}
			_, _ = ch.Write(b)
		})
		for r := range theirs {
			if r.Type == requestExec {
				close(begun)
			}
			_ = r.Reply(true, nil)
			if r.Type == requestExec {
				early.Wait()
				_ = ch.Close()
			}
		}
	}
	client := newFront(t, Config{}, h.credentials()).client()
	ch, requests, err := client.OpenChannel(channelSession, nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	_, _ = ch.Write([]byte("early"))
	_ = ch.CloseWrite()
	if ok, err := ch.SendRequest("pty-req", true, nil); !ok || err != nil {
		t.Error(ok, err)
	}
	if ok, err := ch.SendRequest(requestExec, true, nil); !ok || err != nil {
		t.Error(ok, err)
	}
	if got := readAll(ch); got != "early" {
		t.Errorf("got %q", got)
	}
}

// Both sides ask without end and answer nothing.
func TestMutuallySilentSidesLeaveNothing(t *testing.T) {
	h := newHost(t)
	flood := func(ch ssh.Channel) {
		var all sync.WaitGroup
		for range 200 {
			if _, err := ch.SendRequest("x@example.com", false, nil); err != nil {
				break
			}
		}
		all.Go(func() { _, _ = ch.SendRequest("y@example.com", true, nil) })
		all.Wait()
	}
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		ch, theirs, err := (<-channels).Accept()
		if err != nil {
			return
		}
		go flood(ch)
		_ = conn.Wait()
		ssh.DiscardRequests(theirs)
	}
	f := newFront(t, Config{}, h.credentials())
	client := f.client()
	ch, requests, err := client.OpenChannel("direct-tcpip", nil)
	if err != nil {
		t.Fatal(err)
	}
	go flood(ch)
	f.stop(errors.New("the service stops"))
	_ = f.result()
	_ = client.Close()
	ssh.DiscardRequests(requests)
}

func TestServerKey(t *testing.T) {
	dir := t.TempDir()
	load := func() (string, error) {
		c := &Connector{stateDir: func() (string, error) { return dir, nil }}
		key, _, err := c.loadServerKey()
		if err != nil {
			return "", err
		}
		return ssh.FingerprintSHA256(key.PublicKey()), nil
	}
	var all sync.WaitGroup
	prints := make([]string, 8)
	for i := range prints {
		all.Go(func() { prints[i], _ = load() })
	}
	all.Wait()
	for _, got := range prints {
		if got == "" || got != prints[0] {
			t.Errorf("several keys at once: %q", prints)
		}
	}
	path := filepath.Join(dir, serverKeyName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("files left: %v", entries)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(path, 0o600)
	if _, err := load(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	_, text := newKey(t)
	own := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Connector{config: Config{ServerKeyFile: own}}
	if _, got, err := c.loadServerKey(); err != nil || got != own {
		t.Error(got, err)
	}
}

func TestFingerprintIsLogged(t *testing.T) {
	f := newFront(t, Config{}, nil)
	if want := ssh.FingerprintSHA256(f.c.host.last().PublicKey()); !strings.Contains(f.log.String(), want) {
		t.Errorf("the log lacks %s: %s", want, f.log)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{MaxChannels: -1}, "maxChannels is -1; give a number from 1 to 10000"},
		{Config{MaxChannels: 10001}, "maxChannels is 10001; give a number from 1 to 10000"},
		{Config{ServerKeyFile: "key"}, `serverKeyFile "key" is no absolute path`},
	} {
		_, err := build(c.config, connector.Setup{})
		if e, ok := errors.AsType[*connector.FieldError](err); !ok || e.Error() != c.want {
			t.Errorf("got %v", err)
		}
	}
}

// A literal that is no key is an error when the file is read, not at the first
// connection; and none of it is repeated.
func TestLiteralKeysAreLookedAt(t *testing.T) {
	_, good := newKey(t)
	for literal, want := range map[string]string{
		good: "", "": "",
		"/home/me/.ssh/id_c4nary": "it is not the text of a private key",
		"-----BEGIN c4nary":       "the line breaks must be kept",
	} {
		err := literalCheck(t, "privateKey")(literal)
		if (want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c4nary")) {
			t.Errorf("%q: got %v, want %q", literal, err, want)
		}
	}
}

func literalCheck(t *testing.T, name string) func(string) error {
	t.Helper()
	for _, c := range credentials() {
		if c.Name == name {
			return c.Check
		}
	}
	t.Fatalf("there is no credential %s", name)
	return nil
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"git.example.com": "git.example.com:22", "git.example.com:2222": "git.example.com:2222",
		"::1": "[::1]:22", "[::1]": "[::1]:22", "[::1]:2222": "[::1]:2222", "10.0.0.1:22": "10.0.0.1:22",
		"": "", "host:": "", "host:port": "", "host:0": "", "a:b:c": "", "/run/ssh.sock": "", ":22": "", "a b": "",
	} {
		got, err := parseAddress(text)
		if (want == "") != (err != nil) || err == nil && got.String() != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}
