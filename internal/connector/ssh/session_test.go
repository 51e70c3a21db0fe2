package ssh

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestExitStatusReachesTheClient(t *testing.T) {
	client := newFront(t, Config{}, newHost(t).credentials()).client()
	for _, status := range []int{0, 1, 3, 77, 255} {
		_, _, err := client.run(t, "exit "+strings.Repeat("x", status), "")
		got := 0
		if e, ok := errors.AsType[*ssh.ExitError](err); ok {
			got = e.ExitStatus()
		} else if err != nil {
			t.Fatal(err)
		}
		if got != status {
			t.Errorf("got %d, want %d", got, status)
		}
	}
}

func TestExitSignalReachesTheClient(t *testing.T) {
	client := newFront(t, Config{}, newHost(t).credentials()).client()
	_, _, err := client.run(t, "signal TERM", "")
	if e, ok := errors.AsType[*ssh.ExitError](err); !ok || e.Signal() != "TERM" || e.Msg() != "killed" {
		t.Errorf("got %v", err)
	}
}

func TestErrorOutputStaysApart(t *testing.T) {
	client := newFront(t, Config{}, newHost(t).credentials()).client()
	stdout, stderr, err := client.run(t, "both", "")
	if e, ok := errors.AsType[*ssh.ExitError](err); !ok || e.ExitStatus() != 3 || stdout != "to stdout" || stderr != "to stderr" {
		t.Errorf("got %q, %q, %v", stdout, stderr, err)
	}
}

// The end of the input reaches the program, and what it then says the client.
func TestEndOfInputIsNoClose(t *testing.T) {
	client := newFront(t, Config{}, newHost(t).credentials()).client()
	input := strings.Repeat("0123456789abcdef", 1<<18) // twice a window
	stdout, _, err := client.run(t, "cat", input)
	if err != nil || stdout != input {
		t.Errorf("got %d of %d bytes, %v", len(stdout), len(input), err)
	}
}

func TestManySessionsAtOnce(t *testing.T) {
	f := newFront(t, Config{}, newHost(t).credentials())
	shared := f.client()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			client := shared
			if i%4 == 0 {
				var err error
				if client, err = f.connect(); err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = client.Close() }()
			}
			want := strings.Repeat(fmt.Sprint(i), 5000)
			if got, _, err := client.run(t, "cat", want); err != nil || got != want {
				t.Errorf("session %d: %d bytes of %d, %v", i, len(got), len(want), err)
			}
		})
	}
	all.Wait()
	if got := f.Lookups(); got != 26 {
		t.Errorf("%d lookups for 26 connections", got)
	}
}

// One channel that nobody reads holds up no other.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	client := newFront(t, Config{}, newHost(t).credentials()).client()
	slow, requests, err := client.OpenChannel(channelSession, nil)
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	if ok, err := slow.SendRequest(requestExec, true, ssh.Marshal(struct{ C string }{"cat"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	go func() {
		chunk := make([]byte, 32<<10)
		for range 1000 {
			if _, err := slow.Write(chunk); err != nil {
				return
			}
		}
	}()
	if got, _, err := client.run(t, "cat", "quick"); err != nil || got != "quick" {
		t.Errorf("got %q, %v", got, err)
	}
	_ = slow.Close()
}
