package ssh

import (
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A client that closes the channel as soon as both sides have ended their data,
// as OpenSSH's does, still gets the exit status, in whichever order the target
// sends it and the end.
func TestExitStatusSurvivesTheEndOfTheOutput(t *testing.T) {
	for name, endFirst := range map[string]bool{"end first": true, "status first": false} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
				go ssh.DiscardRequests(requests)
				for offered := range channels {
					ch, theirs, err := offered.Accept()
					if err != nil {
						return
					}
					_ = (<-theirs).Reply(true, nil)
					_, _ = io.Copy(io.Discard, ch)
					if endFirst {
						_ = ch.CloseWrite()
						time.Sleep(2 * exitGrace)
					}
					_, _ = ch.SendRequest(requestStatus, false, []byte{0, 0, 0, 7})
					if !endFirst {
						_ = ch.CloseWrite()
					}
					for r := range theirs {
						t.Errorf("request %s", r.Type)
					}
					_ = ch.Close()
				}
			}
			client := newFront(t, Config{}, h.credentials()).client()
			for range 20 {
				ch, requests := session(t, client, "x")
				_ = ch.CloseWrite()
				_ = readAll(ch)
				_ = ch.Close()
				status := -1
				for r := range requests {
					status = int(r.Payload[3])
				}
				if status != 7 {
					t.Fatalf("exit status %d", status)
				}
				if endFirst {
					break
				}
			}
		})
	}
}

// A client that goes on sending hears of the end of the output at once.
func TestEndOfOutputReachesAClientThatSends(t *testing.T) {
	h := newHost(t)
	h.serve = func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		ch, theirs, err := (<-channels).Accept()
		if err != nil {
			return
		}
		_ = (<-theirs).Reply(true, nil)
		_ = ch.CloseWrite()
		got, _ := io.ReadAll(ch)
		_, _ = ch.SendRequest(requestStatus, false, []byte{0, 0, 0, byte(len(got))})
		_ = ch.Close()
		_ = conn.Wait()
	}
	client := newFront(t, Config{}, h.credentials()).client()
	ch, requests := session(t, client, "x")
	if _, err := ch.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	_, _ = ch.Write([]byte("later"))
	_ = ch.CloseWrite()
	if r := <-requests; r == nil || r.Payload[3] != 5 {
		t.Errorf("got %v", r)
	}
	_ = client.Close()
}
