// Package connectortest is the conformance suite of stream connectors: what
// every user of any protocol relies on, driven through a real broker with
// loopback sockets and a target double that the connector's own test supplies.
package connectortest

import (
	"bytes"
	"net"
	"testing"
	"time"

	"secretless/internal/connector"
)

// Suite describes a connector to Run.
type Suite struct {
	// Definition is the connector under test.
	Definition connector.Definition
	// Decode fills the connector's config; nil means an empty section.
	Decode func(into any) error
	// Credentials makes the credentials for a target double at host:port,
	// without the password. They must let the connector log in to it over
	// plain TCP.
	Credentials func(host, port string) map[string]string
	// Password is the name of the credential that the double checks.
	Password string

	// ServeTarget plays the target's side of a login on conn and demands
	// password. It returns nil when the client is logged in and conn carries
	// application bytes; after a wrong password it has sent the protocol's
	// authentication error and returns an error. extra, if any, must leave
	// in the same write as the last message of the login.
	ServeTarget func(conn net.Conn, password string, extra []byte) error
	// Login plays the client's side on conn without knowing a password. It
	// returns nil when conn carries application bytes, the reader in front of
	// them, and for an error of the protocol a *Refusal. early, if any, must
	// leave in the same write as the last message that the client sends.
	Login func(conn net.Conn, early []byte) (net.Conn, error)
	// Greeting is what a client sends first, whole.
	Greeting []byte
}

// Refusal is an error that the client got in its protocol.
type Refusal struct {
	Code string // the protocol's code: an SQLSTATE, a number
	Text string
}

// Error is the code and the text.
func (r *Refusal) Error() string { return r.Code + ": " + r.Text }

// patience is how long the suite waits for anything that should happen at
// once; generous, so that a busy machine does not fail it.
const patience = 10 * time.Second

// Run runs every case of the suite.
func Run(t *testing.T, s Suite) {
	for name, test := range map[string]func(*testing.T, Suite){
		"Echo":               testEcho,
		"UnixSocket":         testUnixSocket,
		"Probe":              testProbe,
		"SilentClient":       testSilentClient,
		"SlowClient":         testSlowClient,
		"DribblingClient":    testDribblingClient,
		"RandomGreetings":    testRandomGreetings,
		"EndlessGreeting":    testEndlessGreeting,
		"ClientGone":         testClientGone,
		"TargetDown":         testTargetDown,
		"TargetNameUnknown":  testTargetNameUnknown,
		"TargetSilent":       testTargetSilent,
		"TargetGone":         testTargetGone,
		"TargetNotRecorded":  testTargetNotRecorded,
		"TargetGarbage":      testTargetGarbage,
		"TargetEndless":      testTargetEndless,
		"ProviderFails":      testProviderFails,
		"ProviderSlow":       testProviderSlow,
		"WrongPassword":      testWrongPassword,
		"Rotation":           testRotation,
		"EarlyBytes":         testEarlyBytes,
		"HalfCloseByClient":  testHalfCloseByClient,
		"HalfCloseByTarget":  testHalfCloseByTarget,
		"ConcurrentClients":  testConcurrentClients,
		"ConnectionLimit":    testConnectionLimit,
		"StopDuringLogin":    testStopDuringLogin,
		"StopWhileConnected": testStopWhileConnected,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// expectEcho sends data and wants it back: the double echoes after its login.
func expectEcho(t *testing.T, conn net.Conn, data []byte) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	if _, err := readFull(conn, got); err != nil {
		t.Fatalf("reading the echo: %v", err)
	}
	if err := <-sent; err != nil {
		t.Fatalf("sending: %v", err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("the echo of %d bytes differs", len(data))
	}
}
