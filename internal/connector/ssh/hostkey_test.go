package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/connector/connectortest"
)

// shown is the host key that a new client of f is shown.
func shown(t *testing.T, f *front) ssh.PublicKey {
	t.Helper()
	var key ssh.PublicKey
	conn, channels, requests, err := ssh.NewClientConn(dial(t, f.addr()), "", &ssh.ClientConfig{
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error { key = k; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	side{conn, channels, requests}.close()
	return key
}

func TestServerKeyOfAProvider(t *testing.T) {
	h := newHost(t)
	key, text := newKey(t)
	f := newFront(t, Config{}, h.credentials(credentialServerKey, text))
	if n := f.Lookups(); n != 0 {
		t.Errorf("%d lookups before a client came", n)
	}
	for range 2 {
		if got := shown(t, f); !bytes.Equal(got.Marshal(), key.PublicKey().Marshal()) {
			t.Errorf("got %s", ssh.FingerprintSHA256(got))
		}
	}
	// One for the key, and one for each login.
	if n := f.Lookups(); n != 3 {
		t.Errorf("%d lookups", n)
	}
	if log := f.log.String(); strings.Count(log, ssh.FingerprintSHA256(key.PublicKey())) != 1 {
		t.Errorf("the fingerprint is not in the log, or more than once:\n%s", log)
	}
}

// What the client of a service without a host key is told, in plain text.
func toldWithout(t *testing.T, f *front) string {
	t.Helper()
	conn := dial(t, f.addr())
	if _, err := conn.Write(proposes("SSH-2.0-OpenSSH_9.2", ssh.CipherAES256GCM)); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	packet := all[len(versionOpenSSH)+2:]
	var said struct {
		Reason      uint32 `sshtype:"1"`
		Description string
		Language    string
	}
	if len(packet)%8 != 0 || packet[4] < 4 {
		t.Fatalf("no packet: %x", packet)
	}
	if err := ssh.Unmarshal(packet[5:len(packet)-int(packet[4])], &said); err != nil {
		t.Fatal(err)
	}
	return said.Description
}

func TestClientsHearWhyThereIsNoServerKey(t *testing.T) {
	h := newHost(t)
	for want, change := range map[string]func(*front){
		"no such secret":           func(f *front) { f.Answers.Err = errors.New("vault: no such secret") },
		"serverKey is empty":       func(f *front) { f.Answers.Sets[0][credentialServerKey] = "" },
		"is not the text of a pri": func(f *front) { f.Answers.Sets[0][credentialServerKey] = "hunter2" },
		"busy":                     func(f *front) { f.refuse = &connector.Failure{Kind: connector.KindLimit, Err: errors.New("busy")} },
	} {
		_, text := newKey(t)
		f := newFront(t, Config{}, h.credentials(credentialServerKey, text))
		change(f)
		told := toldWithout(t, f)
		if !strings.HasPrefix(told, "secretless: host: ") || !strings.Contains(told, want) || strings.Contains(told, "hunter2") {
			t.Errorf("%s: told %q", want, told)
		}
		if err := f.result(); f.refuse == nil && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if n := h.accepted(); n != 0 {
		t.Errorf("the target was asked %d times", n)
	}
}

func TestServerKeyFollowsRotation(t *testing.T) {
	first, firstText := newKey(t)
	second, secondText := newKey(t)
	synctest.Test(t, func(t *testing.T) {
		log := &syncBuffer{}
		k := &hostKey{log: slog.New(slog.NewTextHandler(log, nil)), fetched: true}
		answers := &connectortest.Answers{Sets: []map[string]string{{credentialServerKey: firstText}, {credentialServerKey: secondText}}}
		s := &connector.Session{Credentials: answers}
		want := func(key ssh.Signer) {
			t.Helper()
			got, err := k.forClient(context.Background(), s)
			if err != nil || !bytes.Equal(got.PublicKey().Marshal(), key.PublicKey().Marshal()) {
				t.Fatalf("got %v, %v", got, err)
			}
		}
		want(first)
		time.Sleep(keyAge - time.Second)
		want(first)
		time.Sleep(2 * time.Second)
		want(second)
		// A provider that is away takes no key with it.
		answers.Err = errors.New("away")
		time.Sleep(2 * keyAge)
		want(second)
		if text := log.String(); !strings.Contains(text, "away") || strings.Count(text, "SHA256:") != 2 {
			t.Errorf("the log:\n%s", text)
		}
		before := answers.Lookups()
		want(second)
		if answers.Lookups() != before {
			t.Error("a provider that is away is asked for every client")
		}
	})
}

func TestAnUnusableServerKeyFromACacheIsFetchedAgain(t *testing.T) {
	key, text := newKey(t)
	answers := &connectortest.Answers{Cached: true, Sets: []map[string]string{{credentialServerKey: "old"}, {credentialServerKey: text}}}
	k := &hostKey{log: slog.New(slog.DiscardHandler), fetched: true}
	got, err := k.forClient(t.Context(), &connector.Session{Credentials: answers})
	if err != nil || !bytes.Equal(got.PublicKey().Marshal(), key.PublicKey().Marshal()) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestServerKeyOfTheConfiguration(t *testing.T) {
	if err := checkServerKey("hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	_, text := newKey(t)
	if err := checkServerKey(text); err != nil {
		t.Error(err)
	}
	_, err := build(Config{ServerKeyFile: "/key"}, connector.Setup{Credentials: []string{credentialServerKey}})
	if err == nil || !strings.Contains(err.Error(), "give one of them") {
		t.Errorf("got %v", err)
	}
}
