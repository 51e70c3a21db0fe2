package mysql

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"secretless/internal/connector"
	"secretless/internal/wire/mysqlwire"
)

// greeted is a target's greeting as a packet, changed.
func greeted(change func(*mysqlwire.HandshakeV10)) []byte {
	h := targetGreeting()
	if change != nil {
		change(&h)
	}
	return h.Append(nil)
}

func withPlugin(plugin string) []byte {
	return greeted(func(h *mysqlwire.HandshakeV10) { h.Plugin = plugin })
}

func switchTo(plugin, data string, sequence byte) []byte {
	return mysqlwire.AuthSwitchRequest{Plugin: plugin, Data: []byte(data)}.Append(nil, sequence)
}

func publicKey(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

const (
	goodChallenge = "abcdefghijklmnopqrst\x00"
	seen          = "the password was seen"
)

// What targets may do wrong, and what the client is told.
func TestHostileTargets(t *testing.T) {
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	huge := publicKey(t, &rsa.PublicKey{N: hugeModulus(), E: 65537})
	full := mysqlwire.AppendAuthMoreData(nil, 2, performFullAuth)
	more := func(sequence byte, data []byte) []byte { return mysqlwire.AppendAuthMoreData(nil, sequence, data...) }
	tests := map[string]struct {
		mode string
		says [][]byte
		want string
	}{
		"other version":          {"disable", [][]byte{{1, 0, 0, 0, 9}}, "1043 08S01 secretless: the target 127.0.0.1:PORT speaks version 9 of MySQL's protocol, the broker 10 alone; does it speak MySQL?"},
		"greeting cut":           {"disable", [][]byte{{4, 0, 0, 0, 10, '8', '.', '0'}}, "1043 08S01 secretless: reading the greeting: the target 127.0.0.1:PORT: malformed packet: HandshakeV10 ends or is wrong at its server version; does it speak MySQL?"},
		"greeting too long":      {"disable", [][]byte{{0, 0, 0x20, 0}}, "1043 08S01 secretless: reading the greeting: the target 127.0.0.1:PORT sent a packet whose length 2097152 is out of bounds; does it speak MySQL?"},
		"wrong sequence":         {"disable", [][]byte{{1, 0, 0, 4, 10}}, "1043 08S01 secretless: the target 127.0.0.1:PORT sent packet 4 in place of packet 0; does it speak MySQL?"},
		"old server":             {"disable", [][]byte{greeted(func(h *mysqlwire.HandshakeV10) { h.Capabilities &^= mysqlwire.ClientProtocol41 })}, "1105 08004 secretless: the target 127.0.0.1:PORT does not offer CLIENT_PROTOCOL_41; it is older than MySQL 4.1"},
		"no TLS":                 {"require", [][]byte{greeted(nil)}, "1105 08S01 secretless: the target 127.0.0.1:PORT does not offer TLS, which sslmode require demands; enable it there, or set sslmode to disable if the network is safe"},
		"plain bytes before TLS": {"require", [][]byte{append(greeted(func(h *mysqlwire.HandshakeV10) { h.Capabilities |= mysqlwire.ClientSSL }), mysqlwire.OK{}.Append(nil, 2)...)}, "1043 08S01 secretless: the target 127.0.0.1:PORT sent unencrypted data behind its greeting; a faulty server or somebody in the middle"},
		"no handshake":           {"require", [][]byte{greeted(func(h *mysqlwire.HandshakeV10) { h.Capabilities |= mysqlwire.ClientSSL }), mysqlwire.OK{}.Append(nil, 2)}, "1105 08S01 secretless: TLS with the target 127.0.0.1:PORT: tls: first record does not look like a TLS handshake"},
		"clear text":             {"disable", [][]byte{greeted(nil), switchTo(pluginClear, "", 2)}, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT asks for the password in clear text (mysql_clear_password) over an unencrypted connection; set sslmode to require or stronger"},
		"clear text at once":     {"disable", [][]byte{withPlugin(pluginClear)}, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT asks for the password in clear text (mysql_clear_password) over an unencrypted connection; set sslmode to require or stronger"},
		"full without TLS":       {"prefer", [][]byte{withPlugin(pluginCaching), full}, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT wants the password encrypted with a key that nobody has verified (caching_sha2_password without TLS); enable TLS there, or set sslmode to disable if the network is safe"},
		"sha256 without TLS":     {"prefer", [][]byte{withPlugin(pluginSHA256)}, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT wants the password encrypted with a key that nobody has verified (sha256_password without TLS); enable TLS there, or set sslmode to disable if the network is safe"},
		"no key":                 {"disable", [][]byte{withPlugin(pluginCaching), full, more(4, []byte("a key"))}, "1043 08S01 secretless: logging in: the public key of the target 127.0.0.1:PORT: it is no RSA key in PEM of at most 8192 bits"},
		"other key":              {"disable", [][]byte{withPlugin(pluginCaching), full, more(4, publicKey(t, &elliptic.PublicKey))}, "1043 08S01 secretless: logging in: the public key of the target 127.0.0.1:PORT: it is no RSA key in PEM of at most 8192 bits"},
		"huge key":               {"disable", [][]byte{withPlugin(pluginCaching), full, more(4, huge)}, "1043 08S01 secretless: logging in: the public key of the target 127.0.0.1:PORT: it is no RSA key in PEM of at most 8192 bits"},
		"full of native":         {"disable", [][]byte{greeted(nil), full}, "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT sent data that mysql_native_password does not expect"},
		"unknown plugin":         {"disable", [][]byte{greeted(nil), switchTo("dialog\x1b[2J", "", 2)}, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT demands the authentication plugin dialog [2J, which the broker does not speak; give the account one of mysql_native_password, caching_sha2_password, sha256_password, client_ed25519"},
		"old password":           {"disable", [][]byte{greeted(nil), {1, 0, 0, 2, 0xfe}}, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT demands the authentication plugin mysql_old_password, which the broker does not speak; give the account one of mysql_native_password, caching_sha2_password, sha256_password, client_ed25519"},
		"second factor":          {"disable", [][]byte{greeted(nil), {1, 0, 0, 2, 2}}, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT demands a second factor, which the broker does not have; use an account with one"},
		"short challenge":        {"disable", [][]byte{greeted(nil), switchTo(pluginNative, "abc\x00", 2)}, "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT sent a challenge of 4 bytes that mysql_native_password cannot answer"},
		"long challenge":         {"disable", [][]byte{greeted(nil), switchTo(pluginEd25519, strings.Repeat("x", 100), 2)}, "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT sent a challenge of 100 bytes that client_ed25519 cannot answer"},
		"switches forever":       {"disable", [][]byte{greeted(nil), switchTo(pluginCaching, goodChallenge, 2), switchTo(pluginNative, goodChallenge, 4), switchTo(pluginCaching, goodChallenge, 6), switchTo(pluginNative, goodChallenge, 8)}, "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT changed the authentication plugin more than 3 times"},
		"empty packet":           {"disable", [][]byte{greeted(nil), {0, 0, 0, 2}}, "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT sent something else than a request or a result; does it speak MySQL?"},
		"short OK":               {"disable", [][]byte{greeted(nil), {1, 0, 0, 2, 0}}, "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT: malformed packet: OK ends or is wrong at its affected rows; does it speak MySQL?"},
		"closes":                 {"disable", [][]byte{greeted(nil), nil}, "1105 08S01 secretless: logging in: the target 127.0.0.1:PORT closed the connection; its log may say why"},
		"closes at once":         {"disable", [][]byte{nil}, "1105 08S01 secretless: reading the greeting: the target 127.0.0.1:PORT closed the connection; its log may say why"},
		"error for a greeting":   {"disable", [][]byte{append([]byte{19, 0, 0, 0, 0xff, 0x6a, 0x04}, "Host not allowed"...)}, "1130 HY000 Host not allowed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fake := newFakeTarget(t, func(conn net.Conn) {
				p := newPeer(conn)
				for _, packet := range test.says {
					if packet == nil {
						return
					}
					if p.send(packet) != nil {
						return
					}
					payload, err := p.next()
					if err != nil {
						return
					}
					if bytes.Contains(payload, []byte(sesame)) {
						t.Error(seen)
					}
				}
			})
			f := newFront(t, Config{}, fake.creds("sslmode", test.mode))
			if got := shown(t, fake, talk(t, f, plainResponse().packet(1))); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func hugeModulus() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), maxKeyBits)
	return n.Add(n, big.NewInt(1))
}

// A target that never comes to a result is given up before the timeout.
func TestEndlessAuthentication(t *testing.T) {
	fake := newFakeTarget(t, func(conn net.Conn) {
		p := newPeer(conn)
		_ = p.send(withPlugin(pluginCaching))
		_, _ = p.next()
		for sequence := byte(2); ; sequence++ {
			if p.send(mysqlwire.AppendAuthMoreData(nil, sequence, fastAuthSuccess)) != nil {
				return
			}
		}
	})
	f := newFront(t, Config{}, fake.creds())
	want := "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT asked more than 12 times without a result"
	if got := shown(t, fake, talk(t, f, plainResponse().packet(1))); got != want {
		t.Error(got)
	}
}

// What requireAuth rules out is not answered: not even a hash leaves.
func TestRequireAuthSendsNothing(t *testing.T) {
	answers := make(chan []byte, 1)
	fake := newFakeTarget(t, func(conn net.Conn) {
		p := newPeer(conn)
		_ = p.send(greeted(nil))
		payload, _ := p.next()
		r, _ := mysqlwire.ParseHandshakeResponse41(payload)
		answers <- r.AuthResponse
		_ = p.send(switchTo(pluginNative, goodChallenge, 2))
		_, _ = p.next()
	})
	f := newFront(t, Config{RequireAuth: []string{pluginCaching, pluginEd25519}}, fake.creds())
	want := "1105 08004 secretless: logging in: the target 127.0.0.1:PORT asks for mysql_native_password, which requireAuth does not list; somebody may be in the middle, or the list is too short"
	if got := shown(t, fake, talk(t, f, plainResponse().packet(1))); got != want {
		t.Error(got)
	}
	if answer := <-answers; len(answer) != 0 {
		t.Errorf("%d bytes were answered", len(answer))
	}
}

// The challenge of a greeting is too short for client_ed25519: a target whose
// default that is gets the answer of another plugin and asks again.
func TestGreetingForEd25519(t *testing.T) {
	answers := make(chan mysqlwire.HandshakeResponse41, 1)
	fake := newFakeTarget(t, func(conn net.Conn) {
		p := newPeer(conn)
		_ = p.send(withPlugin(pluginEd25519))
		payload, _ := p.next()
		r, _ := mysqlwire.ParseHandshakeResponse41(payload)
		answers <- r
		_ = p.send(switchTo(pluginEd25519, strings.Repeat("x", ed25519Challenge), 2))
		if signature, err := p.next(); err != nil || len(signature) != 64 {
			t.Errorf("answered %q, %v", signature, err)
		}
		_ = p.send(mysqlwire.OK{Status: autocommit}.Append(nil, 4))
		_, _ = p.next()
	})
	if payload := talk(t, newFront(t, Config{}, fake.creds()), plainResponse().packet(1)); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
		t.Errorf("%q", payload)
	}
	if r := <-answers; r.Plugin != pluginNative || len(r.AuthResponse) != 20 {
		t.Errorf("%+v", r)
	}
}

// A plugin that requireAuth rules out is not gone on with either: over TLS its
// next step would be the password itself. Nor is the password sent twice.
func TestFullAuthenticationIsNotToBeHadByAsking(t *testing.T) {
	full := func(sequence byte) []byte { return mysqlwire.AppendAuthMoreData(nil, sequence, performFullAuth) }
	caching := func(h *mysqlwire.HandshakeV10) { h.Plugin = pluginCaching; offersTLS(h) }
	for name, test := range map[string]struct {
		requireAuth []string
		sent        int // passwords
		want        string
	}{
		"ruled out": {[]string{pluginNative}, 0, "1105 08004 secretless: logging in: the target 127.0.0.1:PORT asks for caching_sha2_password, which requireAuth does not list; somebody may be in the middle, or the list is too short"},
		"twice":     {nil, 1, "1043 08S01 secretless: logging in: the target 127.0.0.1:PORT sent data that caching_sha2_password does not expect"},
	} {
		sent := make(chan int, 1)
		fake := newFakeTarget(t, overTLS(serverTLS(t), caching, func(p *peer) {
			n := 0
			for p.send(full(p.sequence+1)) == nil {
				payload, err := p.next()
				if err != nil {
					break
				}
				if string(payload) == sesame+"\x00" {
					n++
				}
			}
			sent <- n
		}))
		f := newFront(t, Config{RequireAuth: test.requireAuth}, fake.creds("sslmode", "require"))
		if got := shown(t, fake, talk(t, f, plainResponse().packet(1))); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
		if n := <-sent; n != test.sent {
			t.Errorf("%s: the password was sent %d times", name, n)
		}
	}
}

// A target that was given the password, encrypted with its key or over TLS,
// does not get it into an error.
func TestErrorThatRepeatsThePassword(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	repeated := mysqlwire.ERR{Number: 1045, State: "28000", Message: "no access with " + sesame}
	for mode, script := range map[string]func(net.Conn){
		"disable": func(conn net.Conn) {
			p := newPeer(conn)
			_ = p.send(withPlugin(pluginSHA256))
			_, _ = p.next()
			_ = p.send(mysqlwire.AppendAuthMoreData(nil, 2, publicKey(t, &key.PublicKey)...))
			_, _ = p.next()
			_ = p.send(repeated.Append(nil, 4))
		},
		"require": overTLS(serverTLS(t), offersTLS, func(p *peer) {
			_ = p.send(switchTo(pluginClear, "", 3))
			if payload, err := p.next(); err != nil || string(payload) != sesame+"\x00" {
				t.Errorf("%q, %v", payload, err)
			}
			_ = p.send(repeated.Append(nil, 5))
		}),
	} {
		fake := newFakeTarget(t, script)
		f := newFront(t, Config{}, fake.creds("sslmode", mode))
		want := "1045 28000 secretless: logging in: the target 127.0.0.1:PORT refused with an error that repeats the password, which is withheld"
		if got := shown(t, fake, talk(t, f, plainResponse().packet(1))); got != want {
			t.Errorf("%s: %s", mode, got)
		}
		if err := f.Result(0); strings.Contains(err.Error(), sesame) {
			t.Errorf("%s: the log has the password: %v", mode, err)
		}
	}
}

// What clients may do wrong, and what they are told.
func TestHostileClients(t *testing.T) {
	fake := newFakeTarget(t, func(conn net.Conn) { _ = serveTarget(conn, sesame, nil) })
	ssl := plainResponse()
	ssl.Capabilities |= mysqlwire.ClientSSL
	for name, test := range map[string]struct {
		says []byte
		want string
	}{
		"TLS all the same": {ssl.AppendSSLRequest(nil, 1), "1043 08S01 secretless: the client asks for TLS, which this listener does not offer; connect without, or give the service a tls section"},
		"wrong sequence":   {plainResponse().packet(7), "1156 08S01 secretless: the client sent packet 7 in place of packet 1; does it speak MySQL?"},
		"too long":         {[]byte{0xff, 0xff, 0xff, 1}, "1043 08S01 secretless: the client sent a packet whose length 16777215 is out of bounds; does it speak MySQL?"},
		"empty":            {[]byte{0, 0, 0, 1}, "1043 08S01 secretless: reading the client's answer to the greeting: malformed packet: HandshakeResponse41 ends or is wrong at its capabilities"},
		"before MySQL 4.1": {append([]byte{10, 0, 0, 1}, "\x05\xa4\x00\x00\x01old\x00p"...), "1251 08004 secretless: the client speaks the protocol from before MySQL 4.1; use a newer one"},
		"an HTTP client":   {[]byte("GET / HTTP/1.1\r\n\r\n"), "1043 08S01 secretless: the client sent a packet whose length 5522759 is out of bounds; does it speak MySQL?"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{Greeting: greetLearned}, fake.creds())
			if got := shown(t, nil, talk(t, f, test.says)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if n := f.Credentials.Lookups(); n != 0 {
				t.Errorf("%d lookups", n)
			}
		})
	}
}

func TestLeavingClients(t *testing.T) {
	fake := newFakeTarget(t, func(conn net.Conn) { _ = serveTarget(conn, sesame, nil) })
	for name, test := range map[string]struct {
		greeting string
		says     []byte
		kind     connector.Kind
	}{
		"half an answer":                 {greetLearned, plainResponse().packet(1)[:20], connector.KindClientGone},
		"half an answer to the target's": {greetTarget, plainResponse().packet(1)[:20], connector.KindClientGone},
	} {
		f := newFront(t, Config{Greeting: test.greeting}, fake.creds())
		conn := dial(t, f)
		parseGreeting(t, newPeer(conn))
		_, _ = conn.Write(test.says)
		_ = conn.Close()
		if kind := connector.KindOf(f.Result(0)); kind != test.kind {
			t.Errorf("%s: %v", name, f.Result(0))
		}
	}
	for _, greeting := range []string{greetLearned, greetTarget} {
		f := newFront(t, Config{Greeting: greeting}, fake.creds())
		conn := dial(t, f)
		parseGreeting(t, newPeer(conn))
		_ = conn.Close()
		if err := f.Result(0); err != nil {
			t.Errorf("a probe: %v", err)
		}
	}
}

// A client that leaves while the target lets it in leaves no connection there.
func TestClientThatLeavesBeforeItsResult(t *testing.T) {
	asked, left, ended := make(chan bool), make(chan bool), make(chan error, 1)
	fake := newFakeTarget(t, func(conn net.Conn) {
		p := newPeer(conn)
		_ = p.send(greeted(nil))
		_, _ = p.next()
		asked <- true
		<-left
		_ = p.send(mysqlwire.OK{Status: autocommit}.Append(nil, 2))
		_, err := p.next()
		ended <- err
	})
	f := newFront(t, Config{Greeting: greetLearned}, fake.creds())
	conn := dial(t, f)
	p := newPeer(conn)
	parseGreeting(t, p)
	_ = p.send(plainResponse().packet(1))
	<-asked
	_ = conn.(*net.TCPConn).SetLinger(0) // so that the broker's next write fails
	_ = conn.Close()
	left <- true
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the target's connection: %v", err)
	}
	if err := f.Result(0); connector.KindOf(err) != connector.KindClientGone {
		t.Error(err)
	}
}

// A client that stops in the middle is told when time is up.
func TestSlowClientIsTold(t *testing.T) {
	f := newFront(t, Config{Greeting: greetLearned}, map[string]string{"host": "127.0.0.1"})
	f.Handshake = 100 * time.Millisecond
	want := "1159 08S01 secretless: the client did not complete its login in time"
	if got := shown(t, nil, talk(t, f, plainResponse().packet(1)[:20])); got != want {
		t.Error(got)
	}
}

func TestRefuse(t *testing.T) {
	for kind, want := range map[connector.Kind]string{
		connector.KindLimit:    "1040 08004 secretless: too many",
		connector.KindStopping: "1053 08S01 secretless: too many",
	} {
		f := newFront(t, Config{}, map[string]string{})
		f.Refuse = &connector.Failure{Kind: kind, Err: errTooMany{}}
		payload, err := newPeer(dial(t, f)).next()
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(t, nil, payload); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

type errTooMany struct{}

func (errTooMany) Error() string { return "too many" }

func TestProviderFailure(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
	f.Credentials.Err = errTooMany{}
	if got := shown(t, nil, talk(t, f, plainResponse().packet(1))); got != "1105 08004 secretless: too many" {
		t.Error(got)
	}
}

// Every kind has a code of the servers' own, and a client that is gone is told
// nothing.
func TestCodes(t *testing.T) {
	s := &connector.Session{Service: "db"}
	for kind := connector.KindInternal; kind < connector.KindClientGone; kind++ {
		e, err := mysqlwire.ParseERR(response(s, &connector.Failure{Kind: kind, Err: errTooMany{}}, 2)[mysqlwire.HeaderSize:])
		if err != nil || len(e.State) != 5 || e.Number < 1000 || e.Number >= 2000 {
			t.Errorf("%v: %+v, %v", kind, e, err)
		}
	}
	if got := response(s, &connector.Failure{Kind: connector.KindClientGone, Err: errTooMany{}}, 2); got != nil {
		t.Errorf("%q", got)
	}
	e, _ := mysqlwire.ParseERR(response(s, errTooMany{}, 2)[mysqlwire.HeaderSize:])
	if e.Number != 1105 || e.State != "HY000" || !slices.Equal(strings.Fields(e.Message)[:4], []string{"secretless:", "the", "broker", "failed"}) {
		t.Errorf("%+v", e)
	}
}
