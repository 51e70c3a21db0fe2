package mssql

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"secretless/internal/connector"
	"secretless/internal/connector/database"
	"secretless/internal/target"
	"secretless/internal/testenv"
	"secretless/internal/wire/tds"
)

// What the client says of itself reaches the target; what it says about
// authentication does not.
func TestWhatTheTargetGets(t *testing.T) {
	got := make(chan tds.Login7, 1)
	double := newFakeTarget(t, func(conn net.Conn) {
		if l, err := readLogin(conn); err == nil {
			got <- l
			_, _ = conn.Write(welcome(l.TDSVersion))
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	client := clientLogin()
	client.OptionFlags2 = tds.Flag2IntegratedSecurity | 0x03
	client.SSPI = []byte("NTLMSSP of the client")
	client.Password, _ = tds.ObfuscatePassword([]byte("the client's"))
	client.TypeFlags = tds.TypeFlagReadOnlyIntent
	client.PacketSize = 8000
	client.Language, client.AtchDBFile = tds.MakeText("Deutsch"), tds.MakeText("file.mdf")
	client.Features = []tds.Feature{{ID: tds.FeatureSessionRecovery, Data: bytes.Repeat([]byte{7}, 5000)}, {ID: 0x7E, Data: []byte("unheard of")}}
	if _, err := loginWith(dial(t, newFront(t, double.creds())), client, nil); err != nil {
		t.Fatal(err)
	}
	l := <-got
	if tds.RevealPassword(l.Password).String() != testPassword || l.UserName.String() != "app" || l.ServerName.String() != "127.0.0.1" {
		t.Errorf("logged in as %s at %s", l.UserName, l.ServerName)
	}
	if len(l.SSPI) > 0 || l.OptionFlags2 != 0x03 {
		t.Errorf("the client's Windows authentication got there: %x, flags %x", l.SSPI, l.OptionFlags2)
	}
	l.UserName, l.Password, l.ServerName, l.SSPI, l.OptionFlags2 = nil, nil, nil, nil, 0
	client.UserName, client.Password, client.ServerName, client.SSPI, client.OptionFlags2 = nil, nil, nil, nil, 0
	l.OptionFlags3 &^= tds.Flag3Extension
	l.ChangePassword = nil
	if !reflect.DeepEqual(l, client) {
		t.Errorf("got  %+v\nwant %+v", l, client)
	}
}

// The target's answer reaches the client byte for byte, in its packets.
func TestAnswerPassesUnchanged(t *testing.T) {
	body := welcome(tds.Version74)[tds.HeaderSize:]
	long := append(bytes.Repeat(tds.ServerError{Number: 5701, Message: strings.Repeat("m", 200), ServerName: "s"}.Append(nil, tds.TokenInfo, true), 50), body...)
	answer := tds.AppendMessage(nil, tds.TypeReply, 77, 512, long)
	f := newFront(t, newFakeTarget(t, answering(append(bytes.Clone(answer), "behind"...))).creds())
	conn := dial(t, f)
	_, _ = conn.Write(append(clientPrelogin(tds.EncryptOff, 0), loginMessage(clientLogin())...))
	if _, err := readReply(conn); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(answer)+len("behind"))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != string(answer)+"behind" {
		t.Errorf("%v: the answer was changed", err)
	}
}

// Old clients send LOGIN7 at once.
func TestClientWithoutPrelogin(t *testing.T) {
	f := newFront(t, newFakeTarget(t, answering(welcome(0x07000000))).creds())
	conn := dial(t, f)
	l := clientLogin()
	l.TDSVersion = tds.Version70
	_, _ = conn.Write(loginMessage(l))
	body, err := readReply(conn)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := tds.ParseLoginResponse(body, tds.Version70); err != nil || r.Ack == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// A PRELOGIN alone, as monitors send it, costs neither lookup nor target.
func TestPreloginAlone(t *testing.T) {
	double := newFakeTarget(t, answering(nil))
	f := newFront(t, double.creds())
	conn := dial(t, f)
	_, _ = conn.Write(clientPrelogin(tds.EncryptOff, 0))
	if _, err := readReply(conn); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := f.Result(0); connector.KindOf(err) != connector.KindClientGone {
		t.Errorf("got %v", err)
	}
	if f.Credentials.Lookups() > 0 || double.Connections() > 0 {
		t.Error("something was done for it")
	}
}

func askMARS(t *testing.T, f *front) (promised bool, conn net.Conn) {
	t.Helper()
	conn = dial(t, f)
	_, _ = conn.Write(append(clientPrelogin(tds.EncryptOff, 1), loginMessage(clientLogin())...))
	body, err := readReply(conn)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := tds.ParsePrelogin(body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.MARS(), conn
}

// MARS is on where both sides have it. A target without costs its first client
// an error, and the next ones know.
func TestMARS(t *testing.T) {
	for _, has := range []byte{0, 1} {
		f := newFront(t, newFakeTarget(t, func(conn net.Conn) {
			first, err := readBody(conn, tds.TypePrelogin)
			if err != nil {
				return
			}
			asked, err := tds.ParsePrelogin(first)
			if err != nil {
				return
			}
			mars := has
			if !asked.MARS() {
				mars = 0
			}
			_, _ = conn.Write(serverPrelogin(tds.EncryptNotSupported, mars))
			if _, err := readBody(conn, tds.TypeLogin7); err == nil {
				_, _ = conn.Write(welcome(tds.Version74))
			}
			_, _ = io.Copy(io.Discard, conn)
		}).creds())
		promised, conn := askMARS(t, f)
		body, err := readReply(conn)
		if err != nil || !promised {
			t.Fatal(err, promised)
		}
		r, err := tds.ParseLoginResponse(body, tds.Version74)
		if err != nil || (r.Ack != nil) != (has == 1) {
			t.Errorf("MARS at the target: %d: %+v, %v", has, r, err)
		}
		if has == 0 && (len(r.Errors) != 1 || r.Errors[0].Number != numberUnsupported || !strings.Contains(r.Errors[0].Message, "MultipleActiveResultSets")) {
			t.Errorf("%+v", r.Errors)
		}
		if promised, conn = askMARS(t, f); promised != (has == 1) {
			t.Errorf("promised %v", promised)
		}
		if body, err = readReply(conn); err != nil {
			t.Fatal(err)
		}
		if r, err := tds.ParseLoginResponse(body, tds.Version74); err != nil || r.Ack == nil {
			t.Errorf("the second client: %+v, %v", r, err)
		}
	}
}

// Prefer falls back when the target says that it has no TLS, and never else.
func TestPreferNeverFallsBackOnFailure(t *testing.T) {
	for _, answer := range []tds.Encryption{tds.EncryptOff, tds.EncryptStrict, tds.EncryptOn} {
		double := newFakeTarget(t, func(conn net.Conn) {
			saying(serverPrelogin(answer, 0))(conn)
		})
		f := newFront(t, double.creds("sslmode", "prefer"))
		f.Connect = 500e6 // a TLS handshake that nobody answers
		got := refusal(t, f, clientLogin(), double)
		if double.Connections() != 1 {
			t.Errorf("%d: %d connections, %s", answer, double.Connections(), got)
		}
	}
}

func TestFollow(t *testing.T) {
	for name, c := range map[string]struct {
		server    string
		encrypted bool
		want      string
	}{
		"over TLS":                {"worker.example", true, "worker.example:11003"},
		"an instance":             {`worker.example\SQL2`, true, "worker.example:11003"},
		"the same host":           {"DB.example", false, "DB.example:11003"},
		"loopback":                {"127.0.0.1", false, "127.0.0.1:11003"},
		"elsewhere, unencrypted":  {"worker.example", false, ""},
		"a name for loopback":     {"localhost", false, ""},
		"a socket":                {"/run/x", true, ""},
		"two hosts":               {"a b", true, ""},
		"nothing but an instance": {`\x`, true, ""},
	} {
		l := &login{encrypted: c.encrypted, plan: database.Plan{Address: target.Address{Host: "db.example", Port: 1433}}}
		got, err := l.follow(tds.Routing{Server: c.server, Port: 11003})
		if c.want == "" && err == nil || c.want != "" && (err != nil || got.String() != c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A target that routes elsewhere is let go.
func TestRouteLeavesNoConnection(t *testing.T) {
	second := newFakeTarget(t, answering(welcome(tds.Version74)))
	port, err := strconv.ParseUint(second.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	first := newFakeTarget(t, func(conn net.Conn) {
		_, _ = readLogin(conn)
		_, _ = conn.Write(reply(tds.Routing{Server: "127.0.0.1", Port: uint16(port)}.Append(nil)))
		_, err := io.ReadFull(conn, make([]byte, 1))
		ended <- err
	})
	if _, err := loginAs(dial(t, newFront(t, first.creds())), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("the first target's connection: %v", err)
	}
}

// TDS 8.0 on one side and 7.4 on the other: each sees its own version.
func TestVersionsOfTheTwoSides(t *testing.T) {
	for _, c := range []struct {
		client uint32
		strict bool
		target uint32
	}{
		{tds.Version74, true, tds.Version80},
		{tds.Version80, false, tds.Version74},
		{tds.Version80, true, tds.Version80},
		{tds.Version72, true, tds.Version72},
		{tds.Version71, false, tds.Version71},
	} {
		set := setOf(map[string]string{"host": "h", "username": "u", "password": "p"})
		settings, err := readSettings(set)
		if err != nil {
			t.Fatal(err)
		}
		settings.protection.strict = c.strict
		l := &login{client: &opening{login: tds.Login7{TDSVersion: c.client}}, settings: settings}
		request, err := l.request()
		if err != nil || request.TDSVersion != c.target {
			t.Errorf("%#x: asks for %#x, %v", c.client, request.TDSVersion, err)
		}
		raw := welcome(c.target)
		m := tds.Message{SPID: 51, Body: raw[tds.HeaderSize:], Raw: raw}
		seen := l.seen(m, tds.LoginAck{TDSVersion: c.target}, c.target)
		if !bytes.Equal(seen, welcome(c.client)) {
			t.Errorf("%#x: the client sees %x", c.client, seen)
		}
	}
}

// The wrapped handshake has no place for TLS 1.3; strict is not wrapped.
func TestVersionsOfTLS(t *testing.T) {
	for mode, want := range map[string]uint16{"prefer": tls.VersionTLS12, "require": tls.VersionTLS12, "verify-full": tls.VersionTLS12, "strict": 0} {
		settings, err := readSettings(setOf(map[string]string{"host": "h", "username": "u", "password": "p", "sslmode": mode}))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := settings.plan(settings.address)
		if err != nil || plan.TLS.MinVersion != tls.VersionTLS12 || plan.TLS.MaxVersion != want {
			t.Errorf("%s: %#x to %#x, %v", mode, plan.TLS.MinVersion, plan.TLS.MaxVersion, err)
		}
	}
}

// A client that starts with TLS where there is none gets a TLS alert.
func TestTLSWithoutListenerTLS(t *testing.T) {
	f := newFront(t, map[string]string{})
	conn := dial(t, f)
	_, _ = conn.Write([]byte{tlsHandshake, 3, 1, 0, 5, 1, 0, 0, 1, 0})
	if answer, err := io.ReadAll(conn); err != nil || !bytes.Equal(answer, []byte{21, 3, 1, 0, 2, 2, 40}) {
		t.Errorf("%x, %v", answer, err)
	}
	if err := f.Result(0); !strings.Contains(err.Error(), "Encrypt=strict") {
		t.Error(err)
	}
}

func listenerTLS(t *testing.T) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*testenv.CA(t).Server(t, testenv.CertECDSA).Certificate(t)}, MinVersion: tls.VersionTLS12}
}

// Bytes between PRELOGIN and TLS came from somebody else: CVE-2021-23214 in
// PostgreSQL was of this kind.
func TestPlainBytesBeforeTLS(t *testing.T) {
	f := newFront(t, map[string]string{})
	f.ClientTLS = listenerTLS(t)
	conn := dial(t, f)
	_, _ = conn.Write(append(clientPrelogin(tds.EncryptOn, 0), loginMessage(clientLogin())...))
	_, _ = io.ReadAll(conn)
	if err := f.Result(0); connector.KindOf(err) != connector.KindProtocol || !strings.Contains(err.Error(), "unencrypted data after PRELOGIN") {
		t.Error(err)
	}
}

// A listener that demands client certificates serves nobody without.
func TestListenerDemandsACertificate(t *testing.T) {
	f := newFront(t, map[string]string{})
	f.ClientTLS = listenerTLS(t)
	f.ClientTLS.ClientAuth, f.ClientTLS.ClientCAs = tls.RequireAndVerifyClientCert, testenv.CA(t).Pool()
	for name, says := range map[string][]byte{
		"unencrypted":      append(clientPrelogin(tds.EncryptNotSupported, 0), loginMessage(clientLogin())...),
		"without PRELOGIN": loginMessage(clientLogin()),
	} {
		conn := dial(t, f)
		_, _ = conn.Write(says)
		all, err := io.ReadAll(conn)
		if err != nil || !bytes.Contains(all, tds.MakeText("demands TLS with a client certificate")) {
			t.Errorf("%s: %q, %v", name, all, err)
		}
	}
	if f.Credentials.Lookups() > 0 {
		t.Error("credentials were fetched")
	}
}

// SQL Server closes connections whose TLS records are not TDS packets.
func TestPacketsAreTLSRecords(t *testing.T) {
	const overhead = 8 + 16 // of AES-GCM in TLS 1.2
	records := make(chan []int, 1)
	config := listenerTLS(t)
	config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	config.MaxVersion = tls.VersionTLS12
	packets := append(tds.AppendMessage(nil, tds.TypeBatch, 0, 8000, make([]byte, 20_000)), tds.AppendMessage(nil, tds.TypeAttention, 0, 8000, nil)...)
	double := newFakeTarget(t, func(conn net.Conn) {
		if _, err := readBody(conn, tds.TypePrelogin); err != nil {
			return
		}
		_, _ = conn.Write(serverPrelogin(tds.EncryptOn, 0))
		tap := &tapped{Conn: conn}
		wrapped := tds.NewTLSConn(tap)
		secure := tls.Server(wrapped, config)
		if secure.Handshake() != nil {
			return
		}
		wrapped.HandshakeDone()
		tap.seen.Reset()
		if _, err := readBody(secure, tds.TypeLogin7); err != nil {
			return
		}
		_, _ = secure.Write(welcome(tds.Version74))
		_, _ = io.CopyN(io.Discard, secure, int64(len(packets)))
		var sizes []int
		for rest := tap.seen.Bytes(); len(rest) > 5; {
			size := int(rest[3])<<8 | int(rest[4])
			sizes = append(sizes, size-overhead)
			rest = rest[min(5+size, len(rest)):]
		}
		records <- sizes[1:] // behind LOGIN7
	})
	conn := dial(t, newFront(t, double.creds("sslmode", "require")))
	if _, err := loginAs(conn, packets[:5001]); err != nil {
		t.Fatal(err)
	}
	for rest := packets[5001:]; len(rest) > 0; {
		n := min(3001, len(rest))
		_, _ = conn.Write(rest[:n])
		rest = rest[n:]
	}
	if got, want := <-records, []int{8000, 8000, 4024, 8}; !reflect.DeepEqual(got, want) {
		t.Errorf("records of %v bytes, want %v", got, want)
	}
}

// tapped keeps a copy of what is read.
type tapped struct {
	net.Conn
	seen bytes.Buffer
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen.Write(p[:n])
	return n, err
}

// A client that leaves while the target lets it in leaves no connection there.
func TestClientThatLeavesBeforeItsResult(t *testing.T) {
	asked, left, ended := make(chan bool), make(chan bool), make(chan error, 1)
	double := newFakeTarget(t, func(conn net.Conn) {
		_, _ = readLogin(conn)
		asked <- true
		<-left
		_, _ = conn.Write(welcome(tds.Version74))
		_, err := io.ReadFull(conn, make([]byte, 1))
		ended <- err
	})
	f := newFront(t, double.creds())
	conn := dial(t, f)
	_, _ = conn.Write(clientPrelogin(tds.EncryptOff, 0))
	if _, err := readReply(conn); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(loginMessage(clientLogin()))
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

// keeper is a connection that keeps what it was given to write, not a copy.
type keeper struct {
	scripted
	kept [][]byte
}

func (k *keeper) Write(p []byte) (int, error) {
	k.kept = append(k.kept, p)
	return len(p), nil
}

// LOGIN7 carries the password hardly hidden: it does not stay in memory.
func TestLogin7IsWiped(t *testing.T) {
	conn := &keeper{}
	request := clientLogin()
	request.Password, _ = tds.ObfuscatePassword([]byte(testPassword))
	password := request.Password
	if err := send(conn, &request); err != nil {
		t.Fatal(err)
	}
	kept := append(conn.kept, password)
	if len(kept) != 2 || len(kept[0]) < 100 {
		t.Fatalf("%q", kept)
	}
	for _, b := range kept {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("kept %x", b)
		}
	}
}
