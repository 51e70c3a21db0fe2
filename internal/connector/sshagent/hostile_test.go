package sshagent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
	"secretless/internal/secret"
	"secretless/internal/wire/sshagentwire"
)

// wantAnswer reads one message and checks its type.
func wantAnswer(t *testing.T, conn net.Conn, want sshagentwire.Type) {
	t.Helper()
	length, err := sshagentwire.ReadLength(conn)
	if err != nil {
		t.Fatal(err)
	}
	m, err := sshagentwire.ReadMessage(conn, length)
	if err != nil || m.Type != want {
		t.Fatalf("got message %d, %v; want %d", m.Type, err, want)
	}
}

func TestProbesCostNothing(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"privateKey": newKey(t, "ed25519").text})
	for n, bytes := range [][]byte{nil, {0}, {0, 0, 0}} {
		conn := f.dial()
		if _, err := conn.Write(bytes); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if err := f.result(n); err != nil {
			t.Errorf("after %d bytes: %v", len(bytes), err)
		}
	}
	if f.credentials.Lookups() != 0 || f.established.Load() != 0 {
		t.Errorf("%d lookups, %d established", f.credentials.Lookups(), f.established.Load())
	}
}

func TestMalformedRequestsEndTheConnection(t *testing.T) {
	k := newKey(t, "ed25519")
	frame := func(t sshagentwire.Type, body string) []byte { return sshagentwire.Frame(t, []byte(body)) }
	for name, message := range map[string][]byte{
		"empty message":       {0, 0, 0, 0},
		"too long":            {0, 4, 0, 1, 11},
		"4 GiB":               {255, 255, 255, 255, 11},
		"sign without body":   frame(sshagentwire.SignRequestMessage, ""),
		"sign, long field":    frame(sshagentwire.SignRequestMessage, "\xff\xff\xff\xffabc"),
		"sign, more behind":   frame(sshagentwire.SignRequestMessage, "\x00\x00\x00\x01k\x00\x00\x00\x01d\x00\x00\x00\x00more"),
		"extension, no name":  frame(sshagentwire.ExtensionMessage, ""),
		"binding, cut off":    sshagentwire.Frame(sshagentwire.ExtensionMessage, sshagentwire.AppendString(nil, sessionBind), []byte{0, 0}),
		"binding, long field": sshagentwire.Frame(sshagentwire.ExtensionMessage, sshagentwire.AppendString(nil, sessionBind), []byte{0x7f, 255, 255, 255, 1}),
	} {
		f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
		conn := f.dial()
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		wantAnswer(t, conn, sshagentwire.Failure)
		if err := f.result(0); connector.KindOf(err) != connector.KindProtocol {
			t.Errorf("%s: got %v", name, err)
		}
		if f.credentials.Lookups() != 0 {
			t.Errorf("%s: took a lookup", name)
		}
	}
}

func TestHalfMessages(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"privateKey": newKey(t, "ed25519").text})
	conn := f.dial()
	if _, err := conn.Write([]byte{0, 3, 0, 0, 13, 0, 0}); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := f.result(0); connector.KindOf(err) != connector.KindClientGone {
		t.Errorf("client left: %v", err)
	}
	if _, err := f.dial().Write([]byte{0, 3, 0, 0, 13, 0, 0}); err != nil {
		t.Fatal(err)
	}
	idle := f.client()
	list(t, idle)
	f.stop(errors.New("stopping"))
	for n := 1; n < 3; n++ { // both end, although one is within a message
		if err := f.result(n); err != nil {
			t.Errorf("service stopped: %v", err)
		}
	}
}

// slowConn has the deadlines that are set pass at once.
type slowConn struct{ net.Conn }

func (c slowConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		t = time.Now().Add(time.Millisecond)
	}
	return c.Conn.SetReadDeadline(t)
}

func TestAMessageMustEnd(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"privateKey": newKey(t, "ed25519").text})
	ours, theirs := net.Pipe()
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- f.serve(slowConn{ours}, f.ServeConn) }()
	if _, err := theirs.Write([]byte{0, 0, 0, 9, 13}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; connector.KindOf(err) != connector.KindTimeout {
		t.Errorf("got %v", err)
	}
}

func TestAFloodOfRefusedRequestsEnds(t *testing.T) {
	k := newKey(t, "ed25519")
	for name, message := range map[string][]byte{
		"unknown types":      sshagentwire.Frame(200),
		"unknown extensions": sshagentwire.Frame(sshagentwire.ExtensionMessage, sshagentwire.AppendString(nil, "x")),
		"unknown keys":       sshagentwire.Frame(sshagentwire.SignRequestMessage, make([]byte, 12)),
	} {
		f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
		conn := f.dial()
		go func() { _, _ = conn.Write(bytes.Repeat(message, 2*maxRefusals)) }()
		for range maxRefusals {
			wantAnswer(t, conn, sshagentwire.Failure)
		}
		if err := f.result(0); connector.KindOf(err) != connector.KindLimit {
			t.Errorf("%s: got %v", name, err)
		}
		if lines := strings.Count(f.log.String(), "\n"); lines > maxRefusals {
			t.Errorf("%s: %d lines in the log", name, lines)
		}
	}
}

func TestManyRequestsInOneWrite(t *testing.T) {
	k := newKey(t, "ed25519")
	f := newFront(t, Config{}, map[string]string{"privateKey": k.text})
	conn := f.dial()
	sign := sshagentwire.Frame(sshagentwire.SignRequestMessage, ssh.Marshal(struct {
		Key, Data []byte
		Flags     uint32
	}{k.public.Marshal(), bytes.Repeat([]byte("x"), 200<<10), 0}))
	go func() {
		_, _ = conn.Write(bytes.Join([][]byte{sshagentwire.Frame(sshagentwire.RequestIdentities), sign, sign, sshagentwire.Frame(19)}, nil))
	}()
	for _, want := range []sshagentwire.Type{sshagentwire.IdentitiesAnswer, sshagentwire.SignResponse, sshagentwire.SignResponse, sshagentwire.Failure} {
		wantAnswer(t, conn, want)
	}
}

func TestRefuseAnswersWithAFailure(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"privateKey": newKey(t, "ed25519").text})
	why := &connector.Failure{Kind: connector.KindLimit, Err: errors.New("full")}
	ours, theirs := net.Pipe()
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	ended := make(chan error, 1)
	go func() {
		ended <- f.Refuse(t.Context(), &connector.Session{Client: ours, Log: f.Connector.log, Credentials: f.credentials}, why)
	}()
	if _, err := theirs.Write(sshagentwire.Frame(sshagentwire.RequestIdentities)); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, theirs, sshagentwire.Failure)
	if err := <-ended; !errors.Is(err, why) || f.credentials.Lookups() != 0 {
		t.Errorf("got %v, %d lookups", err, f.credentials.Lookups())
	}
}

// script is a client that has said all it will say, and listens.
type script struct {
	net.Conn // nil: nothing else is called
	in       *bytes.Reader
	out      bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func FuzzConversation(f *testing.F) {
	k, host := newKey(f, "ed25519"), newKey(f, "ed25519")
	l := newLogin(host)
	signature, err := host.signer.Sign(nil, l.id)
	if err != nil {
		f.Fatal(err)
	}
	bind := sshagentwire.Frame(sshagentwire.ExtensionMessage, sshagentwire.AppendString(nil, sessionBind), ssh.Marshal(struct {
		HostKey, ID, Signature []byte
		Forwarding             bool
	}{host.public.Marshal(), l.id, ssh.Marshal(signature), false}))
	sign := sshagentwire.Frame(sshagentwire.SignRequestMessage, ssh.Marshal(struct {
		Key, Data []byte
		Flags     uint32
	}{k.public.Marshal(), l.data("git", k.public), 0}))
	f.Add(sshagentwire.Frame(sshagentwire.RequestIdentities))
	f.Add(sign)
	f.Add(append(bytes.Clone(bind), sign...))
	f.Add(sshagentwire.Frame(sshagentwire.ExtensionMessage, sshagentwire.AppendString(nil, "query")))
	config := Config{AllowHosts: []string{authorized(newKey(f, "ed25519").public)}}
	if err := config.complete(); err != nil {
		f.Fatal(err)
	}
	agent := newConnector(config, quiet())
	f.Fuzz(func(t *testing.T, said []byte) {
		client := &script{in: bytes.NewReader(said)}
		used := false
		_ = agent.ServeConn(t.Context(), &connector.Session{
			Service: "deploy", Client: client, Log: quiet(), Credentials: one{k.text},
			OnUse: func(context.Context, string) error { used = true; return nil },
		})
		for out := bytes.NewReader(client.out.Bytes()); out.Len() > 0; {
			length, err := sshagentwire.ReadLength(out)
			if err != nil {
				t.Fatal(err)
			}
			m, err := sshagentwire.ReadMessage(out, length)
			if err != nil {
				t.Fatal(err)
			}
			// The host allowed is one whose key nobody has.
			if m.Type == sshagentwire.SignResponse || used {
				t.Fatal("signed")
			}
		}
	})
}

// one is credentials with one private key.
type one struct{ text string }

func (o one) Get(context.Context) (*secret.Set, error) {
	return secret.NewSet(map[string]secret.Value{"privateKey": secret.Copy(o.text)}), nil
}
func (one) Rejected(*secret.Set) bool { return false }
func (one) Drop(*secret.Set) bool     { return false }
func (one) Accepted(*secret.Set)      {}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestADeadlineSetAfterTheStopDoesNotHideIt(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	v := &conversation{session: &connector.Session{Client: ours}}
	v.readUntil(ctx, time.Now().Add(time.Hour))
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
