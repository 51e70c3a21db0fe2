package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
)

// after makes a script that answers the SASL first message with text.
func afterFirst(t *testing.T, mechanisms []string, text []byte) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := readPacket(conn); err != nil {
			return
		}
		_, _ = conn.Write(encode(t, &pgproto3.AuthenticationSASL{AuthMechanisms: mechanisms}))
		if _, _, err := readMessage(conn); err == nil {
			_, _ = conn.Write(text)
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

func saslContinue(t *testing.T, text string) []byte {
	return encode(t, &pgproto3.AuthenticationSASLContinue{Data: []byte(text)})
}

func authRequest(code uint32) []byte {
	return append([]byte{'R', 0, 0, 0, 8}, binary.BigEndian.AppendUint32(nil, code)...)
}

func TestHostileTarget(t *testing.T) {
	scram := []string{mechanismScram}
	ok := encode(t, &pgproto3.AuthenticationOk{})
	tests := map[string]struct {
		script func(net.Conn)
		want   string
		kind   connector.Kind
	}{
		"closes at once": {
			func(net.Conn) {},
			"08006 secretless: logging in: the target 127.0.0.1:PORT closed the connection; its log may say why", connector.KindTargetLost,
		},
		"garbage": {
			say([]byte("SSH-2.0-OpenSSH_9.2p1\r\n")),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a message whose length 1397239090 is out of bounds; does it speak PostgreSQL?", connector.KindProtocol,
		},
		"giant length": {
			say([]byte{'R', 0x7f, 0xff, 0xff, 0xff}),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a message whose length 2147483647 is out of bounds; does it speak PostgreSQL?", connector.KindProtocol,
		},
		"tiny length": {
			say([]byte{'R', 0, 0, 0, 3}),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a message whose length 3 is out of bounds; does it speak PostgreSQL?", connector.KindProtocol,
		},
		"truncated message": {
			func(conn net.Conn) { _, _ = readPacket(conn); _, _ = conn.Write([]byte{'R', 0, 0, 0, 8, 0}) },
			"08006 secretless: logging in: the target 127.0.0.1:PORT closed the connection; its log may say why", connector.KindTargetLost,
		},
		"unexpected message": {
			say(encode(t, &pgproto3.ReadyForQuery{TxStatus: 'I'})),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent message 'Z' instead of an authentication request; does it speak PostgreSQL?", connector.KindProtocol,
		},
		"short authentication request": {
			say([]byte{'R', 0, 0, 0, 6, 0, 0}),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a malformed authentication request", connector.KindProtocol,
		},
		"short md5 request": {
			say(authRequest(pgproto3.AuthTypeMD5Password)),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a malformed authentication request", connector.KindProtocol,
		},
		"success twice": {
			say(append(ok, ok...)),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent an authentication request after authentication", connector.KindProtocol,
		},
		"password asked twice": {
			say(encode(t, &pgproto3.AuthenticationMD5Password{}, &pgproto3.AuthenticationMD5Password{})),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent authentication request 5 out of order; refusing to go on", connector.KindProtocol,
		},
		"clear text": {
			say(authRequest(pgproto3.AuthTypeCleartextPassword)),
			"08004 secretless: logging in: the target 127.0.0.1:PORT asks for the password in clear text over an unencrypted connection; set sslmode to require or stronger, or allowCleartext: true in config if the network is safe", connector.KindConfig,
		},
		"clear text after SCRAM began": {
			afterFirst(t, scram, authRequest(pgproto3.AuthTypeCleartextPassword)),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent authentication request 3 out of order; refusing to go on", connector.KindProtocol,
		},
		"success after SCRAM began": {
			afterFirst(t, scram, ok),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT claims success in the middle of SCRAM, without proof that it knows the password; refusing to go on", connector.KindProtocol,
		},
		"SCRAM end before its middle": {
			afterFirst(t, scram, encode(t, &pgproto3.AuthenticationSASLFinal{Data: []byte("v=AAAA")})),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent authentication request 12 out of order; refusing to go on", connector.KindProtocol,
		},
		"SCRAM middle without start": {
			say(saslContinue(t, "r=a,s=AAAA,i=4096")),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent authentication request 11 out of order; refusing to go on", connector.KindProtocol,
		},
		"GSSAPI": {
			say(authRequest(pgproto3.AuthTypeGSS)),
			"08004 secretless: logging in: the target 127.0.0.1:PORT demands GSSAPI authentication, which the broker does not speak; let its pg_hba.conf ask for scram-sha-256, md5, password or cert", connector.KindTarget,
		},
		"unknown method": {
			say(authRequest(99)),
			"08004 secretless: logging in: the target 127.0.0.1:PORT demands unknown authentication, which the broker does not speak; let its pg_hba.conf ask for scram-sha-256, md5, password or cert", connector.KindTarget,
		},
		"no mechanism": {
			say(encode(t, &pgproto3.AuthenticationSASL{})),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a malformed authentication request", connector.KindProtocol,
		},
		"unknown mechanism": {
			say(encode(t, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"OAUTHBEARER"}})),
			"08004 secretless: logging in: the target 127.0.0.1:PORT offers no SASL mechanism that the broker speaks (SCRAM-SHA-256, SCRAM-SHA-256-PLUS)", connector.KindTarget,
		},
		"unterminated mechanism": {
			say([]byte("R\x00\x00\x00\x0d\x00\x00\x00\x0aSCRAM")),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a malformed authentication request", connector.KindProtocol,
		},
		"channel binding without TLS": {
			say(encode(t, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{mechanismPlus, mechanismScram}})),
			"08001 secretless: logging in: the target 127.0.0.1:PORT offers SCRAM-SHA-256-PLUS over an unencrypted connection; somebody may be in the middle", connector.KindTLS,
		},
		"malformed SCRAM": {
			afterFirst(t, scram, saslContinue(t, "hello")),
			"08P01 secretless: logging in: SCRAM with the target 127.0.0.1:PORT: first message is not r=…,s=…,i=…", connector.KindProtocol,
		},
		"bad salt": {
			afterFirst(t, scram, saslContinue(t, "r=abc,s=?,i=4096")),
			"08P01 secretless: logging in: SCRAM with the target 127.0.0.1:PORT: salt is not acceptable", connector.KindProtocol,
		},
		"nonce of its own": {
			afterFirst(t, scram, saslContinue(t, "r=abc,s=c2FsdA==,i=4096")),
			"08P01 secretless: logging in: SCRAM with the target 127.0.0.1:PORT: its first message is not acceptable", connector.KindProtocol,
		},
		"too few iterations": {
			afterFirst(t, scram, saslContinue(t, "r=abc,s=c2FsdA==,i=1")),
			"08004 secretless: logging in: the target 127.0.0.1:PORT asks for 1 SCRAM iterations, outside of 4096 to 1000000; if that is meant, change minIterations or maxIterations in config", connector.KindTarget,
		},
		"endless iterations": {
			afterFirst(t, scram, saslContinue(t, "r=abc,s=c2FsdA==,i=2000000000")),
			"08004 secretless: logging in: the target 127.0.0.1:PORT asks for 2000000000 SCRAM iterations, outside of 4096 to 1000000; if that is meant, change minIterations or maxIterations in config", connector.KindTarget,
		},
		"protocol 2 error": {
			say([]byte("Ecould not fork new process for connection: Resource temporarily unavailable\n\x00")),
			"08004 secretless: logging in: the target 127.0.0.1:PORT sent an error without a code; it may be out of processes or memory", connector.KindTarget,
		},
		"malformed error": {
			say([]byte("E\x00\x00\x00\x08Mabc")),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a malformed error", connector.KindProtocol,
		},
		"short cancel key": {
			say(append(ok, 'K', 0, 0, 0, 6, 1, 2)),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent a malformed cancel key", connector.KindProtocol,
		},
		"endless notices": {
			say(append(ok, bytes.Repeat(encode(t, &pgproto3.NoticeResponse{Message: strings.Repeat("x", 60_000)}), 20)...)),
			"08P01 secretless: logging in: the target 127.0.0.1:PORT sent more than 1048576 bytes before it was ready for queries", connector.KindProtocol,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeTarget(t, test.script)
			f := newFront(t, Config{}, fake.creds())
			answer := talk(t, f, plainStartup)
			if got := shown(t, fake, answer); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if err := f.Result(0); connector.KindOf(err) != test.kind {
				t.Errorf("kind %v, want %v (%v)", connector.KindOf(err), test.kind, err)
			}
			if bytes.Contains(answer, []byte("sesame-8731")) {
				t.Error("the password is in the answer")
			}
		})
	}
}

// An impostor that plays all of SCRAM but cannot know the password.
func TestImpostor(t *testing.T) {
	script := func(conn net.Conn) {
		_, _ = readPacket(conn)
		_, _ = conn.Write(encode(t, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{mechanismScram}}))
		_, body, err := readMessage(conn)
		if err != nil {
			return
		}
		_, nonce, _ := strings.Cut(string(body), ",r=")
		_, _ = conn.Write(saslContinue(t, "r="+nonce+"more,s=c2FsdA==,i=4096"))
		_, _, _ = readMessage(conn)
		_, _ = conn.Write(encode(t, &pgproto3.AuthenticationSASLFinal{Data: []byte("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")}))
		_, _ = conn.Write(welcome(t))
		_, _ = io.Copy(io.Discard, conn)
	}
	fake := newFakeTarget(t, script)
	f := newFront(t, Config{}, fake.creds())
	want := "08P01 secretless: logging in: the target 127.0.0.1:PORT could not prove that it knows the password; it may be an impostor"
	if got := shown(t, fake, talk(t, f, plainStartup)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A target that was given the password in clear text and repeats it.
func TestTargetRepeatsPassword(t *testing.T) {
	script := func(conn net.Conn) {
		_, _ = readPacket(conn)
		_, _ = conn.Write(authRequest(pgproto3.AuthTypeCleartextPassword))
		_, body, _ := readMessage(conn)
		_, _ = conn.Write(encode(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "wrong password " + string(bytes.TrimRight(body, "\x00"))}))
	}
	fake := newFakeTarget(t, script)
	f := newFront(t, Config{AllowCleartext: true}, fake.creds())
	want := "28P01 secretless: logging in: the target 127.0.0.1:PORT refused with an error that repeats the password, which is withheld"
	if got := shown(t, fake, talk(t, f, plainStartup)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := f.Result(0); strings.Contains(err.Error(), "sesame") {
		t.Errorf("the password is in the error: %v", err)
	}
}

func TestStallingTarget(t *testing.T) {
	stall := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	tests := map[string]struct {
		mode string
		want string
	}{
		"asking for TLS": {"require", "08001 secretless: asking for TLS: the target 127.0.0.1:PORT did not answer in time"},
		"logging in":     {"disable", "08001 secretless: logging in: the target 127.0.0.1:PORT did not answer in time"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fake := newFakeTarget(t, stall)
			f := newFront(t, Config{}, fake.creds("sslmode", test.mode))
			f.Handshake, f.Connect = 400*time.Millisecond, 300*time.Millisecond
			if got := shown(t, fake, talk(t, f, plainStartup)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if kind := connector.KindOf(f.Result(0)); kind != connector.KindTimeout {
				t.Errorf("kind %v", kind)
			}
		})
	}
}

func TestStopDuringLogin(t *testing.T) {
	reached := make(chan struct{})
	fake := newFakeTarget(t, func(conn net.Conn) {
		_, _ = readPacket(conn)
		close(reached)
		_, _ = io.Copy(io.Discard, conn)
	})
	f := newFront(t, Config{}, fake.creds())
	conn := dial(t, f)
	_, _ = conn.Write(plainStartup)
	<-reached
	f.Stop(io.ErrClosedPipe)
	answer, _ := io.ReadAll(conn)
	if got := shown(t, fake, answer); got != "57P03 secretless: logging in: the service stops" {
		t.Error(got)
	}
}

// What ended the context decides what the client is told.
func TestInterrupted(t *testing.T) {
	for name, test := range map[string]struct {
		cause error
		kind  connector.Kind
		text  string
	}{
		"handshake timeout": {database.Failure(connector.KindTimeout, "limits.handshakeTimeout passed"), connector.KindTimeout, "logging in: the target db:1 did not answer in time: limits.handshakeTimeout passed"},
		"client gone":       {database.Failure(connector.KindClientGone, "the client left"), connector.KindClientGone, "the client left"},
		"drained":           {database.Failure(connector.KindStopping, "drain time has passed"), connector.KindStopping, "logging in: drain time has passed"},
		"deadline":          {context.DeadlineExceeded, connector.KindTimeout, "logging in: the target db:1 did not answer in time"},
		"anything else":     {io.ErrClosedPipe, connector.KindStopping, "logging in: the service stops"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(test.cause)
			err := targetFailure(ctx, "db:1", "logging in", os.ErrDeadlineExceeded)
			if connector.KindOf(err) != test.kind || err.Error() != test.text {
				t.Errorf("%v: %v", connector.KindOf(err), err)
			}
		})
	}
}

// A target that must bind the login to its certificate, or be held to some
// methods, gets nothing of the password by asking for it in another way: not
// even where whoever is in the middle has ended the TLS connection itself.
func TestHostileTargetAsksForMore(t *testing.T) {
	md5 := encode(t, &pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}})
	scram := encode(t, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{mechanismScram}})
	require := Config{ChannelBinding: bindingRequire, AllowCleartext: true}
	only := func(methods ...string) Config { return Config{RequireAuth: methods, AllowCleartext: true} }
	const binding = "08004 secretless: logging in: the target 127.0.0.1:PORT asks for %s authentication, which proves nothing about its certificate; channelBinding require demands SCRAM-SHA-256-PLUS"
	const method = "08004 secretless: logging in: the target 127.0.0.1:PORT asks for %s authentication, which requireAuth does not list; somebody may be in the middle, or the list is too short"
	tests := map[string]struct {
		config Config
		asks   []byte
		want   string
	}{
		"binding, clear text":       {require, authRequest(pgproto3.AuthTypeCleartextPassword), fmt.Sprintf(binding, "password")},
		"binding, md5":              {require, md5, fmt.Sprintf(binding, "md5")},
		"scram alone, clear text":   {only(methodScram), authRequest(pgproto3.AuthTypeCleartextPassword), fmt.Sprintf(method, "password")},
		"scram alone, md5":          {only(methodScram), md5, fmt.Sprintf(method, "md5")},
		"scram alone, no login":     {only(methodScram), welcome(t), fmt.Sprintf(method, "none")},
		"scram or md5, clear text":  {only(methodScram, methodMD5), authRequest(pgproto3.AuthTypeCleartextPassword), fmt.Sprintf(method, "password")},
		"certificate alone, scram":  {only(methodNone), scram, fmt.Sprintf(method, "scram-sha-256")},
		"clear text alone, md5":     {only(methodPassword), md5, fmt.Sprintf(method, "md5")},
		"binding and a wrong order": {require, encode(t, &pgproto3.AuthenticationSASLFinal{Data: []byte("v=AAAA")}), "08P01 secretless: logging in: the target 127.0.0.1:PORT sent authentication request 12 out of order; refusing to go on"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			more := make(chan []byte, 1)
			fake := newFakeTarget(t, func(conn net.Conn) {
				_, _ = readPacket(conn)
				_, _ = conn.Write(test.asks)
				got, _ := io.ReadAll(conn)
				more <- got
			})
			f := newFront(t, test.config, fake.creds())
			if got := shown(t, fake, talk(t, f, plainStartup)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if got := <-more; len(got) > 0 {
				t.Errorf("the target was sent %q", got)
			}
		})
	}
	for _, methods := range [][]string{{methodMD5}, {methodScram, methodMD5}} {
		fake := newFakeTarget(t, func(conn net.Conn) {
			_, _ = readPacket(conn)
			_, _ = conn.Write(md5)
			if _, _, err := readMessage(conn); err == nil {
				_, _ = conn.Write(encode(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "3D000", Message: "reached"}))
			}
		})
		if got := shown(t, fake, talk(t, newFront(t, only(methods...), fake.creds()), plainStartup)); got != "3D000 reached" {
			t.Errorf("%v: %s", methods, got)
		}
	}
}
