package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// global answers global requests as script says, and notes them.
type global struct {
	mu   sync.Mutex
	seen []string
}

func (g *global) serve(requests <-chan *ssh.Request, answer func(*ssh.Request) (bool, []byte)) {
	for r := range requests {
		g.mu.Lock()
		g.seen = append(g.seen, fmt.Sprintf("%s %t %s", r.Type, r.WantReply, r.Payload))
		g.mu.Unlock()
		ok, payload := answer(r)
		_ = r.Reply(ok, payload)
	}
}

func (g *global) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.seen)
}

func TestGlobalRequestsCrossWithTheirAnswers(t *testing.T) {
	h := newHost(t)
	h.config.ServerVersion = "SSH-2.0-OpenSSH_9.2p1"
	var heard, asked global
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		_, _, _ = conn.SendRequest("hostkeys-00@openssh.com", false, []byte("keys"))
		if ok, _, err := conn.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
			t.Errorf("keepalive of the target: %t, %v", ok, err)
		}
		if ok, _, err := conn.SendRequest("yes@example.com", true, []byte("q")); !ok || err != nil {
			t.Errorf("request of the target: %t, %v", ok, err)
		}
		heard.serve(requests, func(r *ssh.Request) (bool, []byte) { return r.Type == "tcpip-forward", []byte{0, 0, 0x1f, 0x90} })
	}
	f := newFront(t, Config{}, h.credentials())
	conn, channels, requests, err := ssh.NewClientConn(dial(t, f.addr()), "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	go asked.serve(requests, func(r *ssh.Request) (bool, []byte) { return r.Type == "yes@example.com", nil })
	if ok, payload, err := conn.SendRequest("tcpip-forward", true, []byte("p")); !ok || err != nil || !bytes.Equal(payload, []byte{0, 0, 0x1f, 0x90}) {
		t.Errorf("got %t, %x, %v", ok, payload, err)
	}
	for _, name := range []string{"keepalive@openssh.com", "hostkeys-prove-00@openssh.com"} {
		if ok, _, err := conn.SendRequest(name, true, nil); ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
	if _, _, err := conn.SendRequest("no-more-sessions@openssh.com", false, nil); err != nil {
		t.Error(err)
	}
	if _, _, err := conn.SendRequest("last", true, nil); err != nil {
		t.Error(err)
	}
	want := []string{"tcpip-forward true p", "keepalive@openssh.com true ", "no-more-sessions@openssh.com false ", "last true "}
	if got := heard.all(); !slices.Equal(got, want) {
		t.Errorf("the target heard %q", got)
	}
	if got := asked.all(); !slices.Equal(got, []string{"keepalive@openssh.com true ", "yes@example.com true q"}) {
		t.Errorf("the client heard %q", got)
	}
	side{conn: conn, channels: channels}.close()
}

func TestChannelsOfBothSides(t *testing.T) {
	h := newHost(t)
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		offered := <-channels
		if offered.ChannelType() != "direct-tcpip" || string(offered.ExtraData()) != "where to" {
			t.Errorf("got %s %q", offered.ChannelType(), offered.ExtraData())
		}
		_ = offered.Reject(ssh.Prohibited, "not there")
		for channelType, want := range map[string]string{
			"forwarded-tcpip":                   "",
			"forwarded-streamlocal@openssh.com": "",
			"auth-agent@openssh.com":            "does not let targets",
			"x11":                               "does not let targets",
			"session":                           "does not let targets",
			"tun@openssh.com":                   "does not let targets",
		} {
			ch, theirs, err := conn.OpenChannel(channelType, []byte("from"))
			if want != "" {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v", channelType, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", channelType, err)
				continue
			}
			go ssh.DiscardRequests(theirs)
			_, _ = ch.Write([]byte("ping"))
			_ = ch.CloseWrite()
			if got := readAll(ch); got != "pong" {
				t.Errorf("%s: got %q", channelType, got)
			}
			_ = ch.Close()
		}
	}
	client := newFront(t, Config{}, h.credentials()).client()
	var handled sync.WaitGroup
	for _, channelType := range []string{"forwarded-tcpip", "forwarded-streamlocal@openssh.com", "auth-agent@openssh.com", "x11"} {
		offers := client.HandleChannelOpen(channelType)
		handled.Go(func() {
			for offered := range offers {
				ch, requests, err := offered.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				go ssh.DiscardRequests(requests)
				if got := readAll(ch) + string(offered.ExtraData()); got != "pingfrom" {
					t.Errorf("got %q", got)
				}
				_, _ = ch.Write([]byte("pong"))
				_ = ch.Close()
			}
		})
	}
	_, _, err := client.OpenChannel("direct-tcpip", []byte("where to"))
	if refusal, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refusal.Reason != ssh.Prohibited || refusal.Message != "not there" {
		t.Errorf("got %v", err)
	}
	_ = client.Wait()
	handled.Wait()
}

// What a session may ask for, and what the configuration keeps from targets.
func TestAgentAndX11TakeAWord(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprint(allowed), func(t *testing.T) {
			h := newHost(t)
			var seen global
			h.serve = func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
				go ssh.DiscardRequests(requests)
				_, theirs, err := (<-channels).Accept()
				if err != nil {
					t.Error(err)
					return
				}
				seen.serve(theirs, func(*ssh.Request) (bool, []byte) { return true, nil })
			}
			client := newFront(t, Config{AgentForwarding: allowed, X11Forwarding: allowed}, h.credentials()).client()
			ch, requests, err := client.OpenChannel(channelSession, nil)
			if err != nil {
				t.Fatal(err)
			}
			go ssh.DiscardRequests(requests)
			for _, r := range []struct {
				name string
				want bool
			}{{"env", true}, {"auth-agent-req@openssh.com", allowed}, {"x11-req", allowed}, {"pty-req", true}, {"window-change", true}} {
				if ok, err := ch.SendRequest(r.name, true, []byte("p")); ok != r.want || err != nil {
					t.Errorf("%s: %t, %v", r.name, ok, err)
				}
			}
			want := 3
			if allowed {
				want = 5
			}
			if got := seen.all(); len(got) != want {
				t.Errorf("the target heard %q", got)
			}
			_ = ch.Close()
		})
	}
}

func TestChannelsAreCounted(t *testing.T) {
	client := newFront(t, Config{MaxChannels: 2}, newHost(t).credentials()).client()
	open := func() (ssh.Channel, error) {
		ch, requests, err := client.OpenChannel(channelSession, nil)
		if err == nil {
			go ssh.DiscardRequests(requests)
		}
		return ch, err
	}
	first, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err != nil {
		t.Fatal(err)
	}
	_, err = open()
	if refusal, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refusal.Reason != ssh.ResourceShortage || !strings.Contains(refusal.Message, "maxChannels") {
		t.Errorf("got %v", err)
	}
	_ = first.Close()
	for {
		if _, err := open(); err == nil {
			return
		}
	}
}

// A server that calls no more sessions an attack when one comes after it.
func TestNoMoreSessionsDoesNotOvertakeASession(t *testing.T) {
	h := newHost(t)
	h.config.ServerVersion = "SSH-2.0-OpenSSH_9.2p1"
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		offered := <-channels
		select {
		case r := <-requests:
			t.Errorf("%s came before the session was answered", r.Type)
		case <-time.After(20 * time.Millisecond):
		}
		go func() {
			for r := range requests {
				_ = r.Reply(true, nil)
			}
		}()
		runSession(offered)
		_ = conn.Wait()
	}
	for range 10 {
		client := newFront(t, Config{}, h.credentials()).client()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			time.Sleep(5 * time.Millisecond) // the session is on its way
			_, _, _ = client.SendRequest(globalNoMore, false, nil)
			_, _, _ = client.SendRequest("last", true, nil)
		}()
		if got, _, err := client.run(t, "cat", "x"); got != "x" || err != nil {
			t.Fatal(got, err)
		}
		<-sent
		_ = client.Close()
	}
}

// A refusal reaches the client though the target leaves right behind it.
func TestRefusalOfATargetThatLeaves(t *testing.T) {
	h := newHost(t)
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		_ = (<-channels).Reject(ssh.Prohibited, "not there")
		_ = conn.Close()
	}
	f := newFront(t, Config{}, h.credentials())
	for range 50 {
		client := f.client()
		_, _, err := client.OpenChannel("direct-tcpip", nil)
		if refusal, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refusal.Message != "not there" {
			t.Fatalf("got %v", err)
		}
		_ = client.Wait()
	}
}
