package postgres

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"secretless/internal/connector"
	"secretless/internal/testenv"
)

// What a client may say first that is not a login.
func TestGreetingRefused(t *testing.T) {
	const foreign = "08P01 secretless: the client's first bytes are no PostgreSQL startup packet (length %d); does it speak PostgreSQL?"
	tests := map[string]struct {
		says []byte
		want string
	}{
		"http":              {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), strings.Replace(foreign, "%d", "1195725856", 1)},
		"zero length":       {make([]byte, 64), strings.Replace(foreign, "%d", "0", 1)},
		"length 7":          {[]byte{0, 0, 0, 7, 0, 3, 0, 0}, strings.Replace(foreign, "%d", "7", 1)},
		"length 10005":      {append([]byte{0, 0, 0x27, 0x15}, make([]byte, 20_000)...), strings.Replace(foreign, "%d", "10005", 1)},
		"giant length":      {[]byte{0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0}, strings.Replace(foreign, "%d", "4294967295", 1)},
		"protocol 2":        {request(2 << 16), "0A000 secretless: unsupported frontend protocol 2.0: the broker supports 3.0 and later minor versions"},
		"protocol 4":        {request(4 << 16), "0A000 secretless: unsupported frontend protocol 4.0: the broker supports 3.0 and later minor versions"},
		"odd SSLRequest":    {packet(append(binary.BigEndian.AppendUint32(nil, codeSSL), 0)), "08P01 secretless: the client sent an SSLRequest at the wrong time or of a wrong size"},
		"no list":           {packet([]byte{0, 3, 0, 0, 'u', 's', 'e', 'r'}), "08P01 secretless: the client's startup packet is not a list of names and values"},
		"name only":         {packet([]byte("\x00\x03\x00\x00user\x00")), "08P01 secretless: the client's startup packet is not a list of names and values"},
		"bytes behind list": {packet([]byte("\x00\x03\x00\x00user\x00a\x00\x00x")), "08P01 secretless: the client's startup packet is not a list of names and values"},
		"short cancel":      {packet(binary.BigEndian.AppendUint32(nil, codeCancel)), "08P01 secretless: the client's cancel request: cancel request too short"},
		"long cancel":       {packet(append(binary.BigEndian.AppendUint32(nil, codeCancel), make([]byte, 4+257)...)), "08P01 secretless: the client's cancel request: cancel request too long"},
		"stuffed SSLRequest": {
			append(request(codeSSL), plainStartup...),
			"08P01 secretless: received unencrypted data after SSLRequest; a faulty client or somebody in the middle",
		},
		"stuffed GSSENCRequest": {
			append(request(codeGSSENC), plainStartup...),
			"08P01 secretless: received unencrypted data after GSSENCRequest; a faulty client or somebody in the middle",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
			if got := shown(t, nil, talk(t, f, test.says)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if kind := connector.KindOf(f.Result(0)); kind != connector.KindProtocol {
				t.Errorf("kind %v", kind)
			}
			if n := f.Credentials.Lookups(); n != 0 {
				t.Errorf("%d lookups", n)
			}
		})
	}
}

// The bytes of an error of the broker's own.
func TestErrorBytes(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
	got := talk(t, f, request(2<<16))
	want := "E\x00\x00\x00\xbeSFATAL\x00VFATAL\x00C0A000\x00" +
		"Msecretless: unsupported frontend protocol 2.0: the broker supports 3.0 and later minor versions\x00" +
		"HService orders-db, connection 1: the log of the broker says more.\x00\x00"
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestProbe(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
	f.Handshake = 200 * time.Millisecond
	_ = dial(t, f).Close()
	if err := f.Result(0); err != nil {
		t.Errorf("a client that closes: %v", err)
	}
	if answer := talk(t, f, nil); len(answer) > 0 {
		t.Errorf("a silent client was told %q", answer)
	}
	if err := f.Result(1); err != nil {
		t.Errorf("a silent client: %v", err)
	}
	if n := f.Credentials.Lookups(); n != 0 {
		t.Errorf("%d lookups", n)
	}
}

// A client with sslmode=require says nothing of it before it leaves, so that the
// log is the only place where the reason can be found.
func TestClientInsistsOnTLS(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
	conn := dial(t, f)
	_, _ = conn.Write(request(codeSSL))
	_, _ = io.ReadFull(conn, make([]byte, 1))
	_ = conn.Close()
	err := f.Result(0)
	if kind := connector.KindOf(err); kind != connector.KindProtocol || !strings.Contains(err.Error(), "the client demands TLS, which this listener does not offer: set sslmode=disable or prefer") {
		t.Errorf("kind %v: %v", kind, err)
	}
}

func TestSlowClient(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
	f.Handshake = 200 * time.Millisecond
	want := "08001 secretless: the client did not complete its startup packet in time"
	if got := shown(t, nil, talk(t, f, plainStartup[:9])); got != want {
		t.Errorf("got %s", got)
	}
	conn := dial(t, f)
	_, _ = conn.Write(plainStartup[:9])
	_ = conn.Close()
	if kind := connector.KindOf(f.Result(1)); kind != connector.KindClientGone {
		t.Errorf("kind %v", kind)
	}
}

// Requests for encryption are declined one after the other, each once.
func TestDeclinesEncryption(t *testing.T) {
	fake := newFakeTarget(t, say(welcome(t)))
	for name, order := range map[string][]uint32{"ssl, gss": {codeSSL, codeGSSENC}, "gss, ssl": {codeGSSENC, codeSSL}} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{}, fake.creds())
			conn := dial(t, f)
			for _, code := range order {
				_, _ = conn.Write(request(code))
				var answer [1]byte
				if _, err := io.ReadFull(conn, answer[:]); err != nil || answer[0] != 'N' {
					t.Fatalf("%q, %v", answer, err)
				}
			}
			_, _ = conn.Write(plainStartup)
			got := make([]byte, len(welcome(t)))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, welcome(t)) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		f := newFront(t, Config{}, fake.creds())
		conn := dial(t, f)
		_, _ = conn.Write(request(codeSSL))
		_, _ = io.ReadFull(conn, make([]byte, 1))
		_, _ = conn.Write(request(codeSSL))
		answer, _ := io.ReadAll(conn)
		if got := shown(t, nil, answer); got != "08P01 secretless: the client sent an SSLRequest at the wrong time or of a wrong size" {
			t.Error(got)
		}
	})
}

// serverTLS is a listener's configuration; clientCA makes it demand a
// certificate.
func serverTLS(t *testing.T, clientCA bool) (*tls.Config, *testenv.PKI) {
	t.Helper()
	ca := testenv.CA(t)
	pair := ca.Server(t, testenv.CertECDSA)
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	if clientCA {
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM([]byte(ca.CAPEM))
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, ca
}

func clientConfig(ca *testenv.PKI, protos ...string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca.CAPEM))
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: protos, MinVersion: tls.VersionTLS12}
}

func TestClientTLS(t *testing.T) {
	fake := newFakeTarget(t, say(welcome(t)))
	config, ca := serverTLS(t, false)
	expectWelcome := func(t *testing.T, conn net.Conn) {
		t.Helper()
		_, _ = conn.Write(plainStartup)
		got := make([]byte, len(welcome(t)))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, welcome(t)) {
			t.Errorf("%q, %v", got, err)
		}
	}
	newTLSFront := func(t *testing.T) *front {
		f := newFront(t, Config{}, fake.creds())
		f.ClientTLS = config
		return f
	}
	asked := func(t *testing.T, f *front) net.Conn {
		conn := dial(t, f)
		_, _ = conn.Write(request(codeSSL))
		var answer [1]byte
		if _, err := io.ReadFull(conn, answer[:]); err != nil || answer[0] != 'S' {
			t.Fatalf("%q, %v", answer, err)
		}
		return conn
	}
	t.Run("asked", func(t *testing.T) {
		expectWelcome(t, tls.Client(asked(t, newTLSFront(t)), clientConfig(ca)))
	})
	t.Run("direct", func(t *testing.T) {
		expectWelcome(t, tls.Client(dial(t, newTLSFront(t)), clientConfig(ca, alpn)))
	})
	t.Run("direct without ALPN", func(t *testing.T) {
		f := newTLSFront(t)
		conn := tls.Client(dial(t, f), clientConfig(ca))
		_ = conn.Handshake()
		if err := f.Result(0); connector.KindOf(err) != connector.KindProtocol || !strings.Contains(err.Error(), "ALPN") {
			t.Error(err)
		}
	})
	t.Run("direct to a plain listener", func(t *testing.T) {
		f := newFront(t, Config{}, fake.creds())
		err := tls.Client(dial(t, f), clientConfig(ca, alpn)).Handshake()
		if err == nil || !strings.Contains(err.Error(), "handshake failure") {
			t.Error(err)
		}
	})
	t.Run("plain client", func(t *testing.T) {
		expectWelcome(t, dial(t, newTLSFront(t)))
	})
	t.Run("stuffed", func(t *testing.T) {
		f := newTLSFront(t)
		got := shown(t, nil, talk(t, f, append(request(codeSSL), plainStartup...)))
		if got != "08P01 secretless: received unencrypted data after SSLRequest; a faulty client or somebody in the middle" {
			t.Error(got)
		}
	})
	t.Run("encryption twice", func(t *testing.T) {
		conn := tls.Client(asked(t, newTLSFront(t)), clientConfig(ca))
		_, _ = conn.Write(request(codeGSSENC))
		answer, _ := io.ReadAll(conn)
		if got := shown(t, nil, answer); got != "08P01 secretless: the client sent a GSSENCRequest at the wrong time or of a wrong size" {
			t.Error(got)
		}
	})
	t.Run("garbage instead of a handshake", func(t *testing.T) {
		f := newTLSFront(t)
		conn := asked(t, f)
		_, _ = conn.Write(plainStartup)
		_, _ = io.ReadAll(conn)
		if kind := connector.KindOf(f.Result(0)); kind != connector.KindProtocol {
			t.Errorf("kind %v", kind)
		}
	})
}

// Where the listener demands a certificate, plain text is no way around it.
func TestClientCertificateDemanded(t *testing.T) {
	fake := newFakeTarget(t, say(welcome(t)))
	f := newFront(t, Config{}, fake.creds())
	var ca *testenv.PKI
	f.ClientTLS, ca = serverTLS(t, true)
	want := "28000 secretless: this service demands TLS with a client certificate; connect with sslmode=require, sslcert and sslkey"
	if got := shown(t, nil, talk(t, f, plainStartup)); got != want {
		t.Errorf("got %s", got)
	}
	cancel, _ := (&pgproto3.CancelRequest{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}).Encode(nil)
	_ = talk(t, f, cancel)
	if kind := connector.KindOf(f.Result(1)); kind != connector.KindProtocol {
		t.Errorf("an unknown cancel request without certificate: kind %v", kind)
	}
	if n := f.Credentials.Lookups(); n != 0 {
		t.Errorf("%d lookups", n)
	}
	pair := ca.Client(t, "somebody")
	cert, err := tls.X509KeyPair([]byte(pair.CertPEM), []byte(pair.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	config := clientConfig(ca, alpn)
	config.Certificates = []tls.Certificate{cert}
	conn := tls.Client(dial(t, f), config)
	_, _ = conn.Write(plainStartup)
	if _, err := io.ReadFull(conn, make([]byte, len(welcome(t)))); err != nil {
		t.Error(err)
	}
}

// Nothing that a client or target sends ahead of its time is lost.
func TestEarlyBytes(t *testing.T) {
	received := make(chan string, 1)
	fake := newFakeTarget(t, func(conn net.Conn) {
		_, _ = readPacket(conn)
		_, _ = conn.Write(append(welcome(t), "pushed by the target"...))
		got := make([]byte, len("early and late"))
		_, _ = io.ReadFull(conn, got)
		received <- string(got)
	})
	f := newFront(t, Config{}, fake.creds())
	conn := dial(t, f)
	_, _ = conn.Write(append(bytes.Clone(plainStartup), "early"...))
	want := append(welcome(t), "pushed by the target"...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	_, _ = conn.Write([]byte(" and late"))
	if got := <-received; got != "early and late" {
		t.Errorf("the target received %q", got)
	}
}

// Bytes that come during the login are kept as well.
func TestEarlyBytesDuringLogin(t *testing.T) {
	received := make(chan string, 1)
	proceed := make(chan struct{})
	fake := newFakeTarget(t, func(conn net.Conn) {
		_, _ = readPacket(conn)
		<-proceed
		_, _ = conn.Write(welcome(t))
		got := make([]byte, len("one two three"))
		_, _ = io.ReadFull(conn, got)
		received <- string(got)
	})
	f := newFront(t, Config{}, fake.creds())
	conn := dial(t, f)
	_, _ = conn.Write(append(bytes.Clone(plainStartup), "one "...))
	time.Sleep(50 * time.Millisecond)
	_, _ = conn.Write([]byte("two "))
	time.Sleep(50 * time.Millisecond)
	close(proceed)
	if _, err := io.ReadFull(conn, make([]byte, len(welcome(t)))); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("three"))
	if got := <-received; got != "one two three" {
		t.Errorf("the target received %q", got)
	}
}

func TestRefuse(t *testing.T) {
	f := newFront(t, Config{}, map[string]string{"host": "127.0.0.1"})
	f.Refuse = &connector.Failure{Kind: connector.KindLimit, Err: errors.New("service orders-db has its 5 connections; raise limits.connections")}
	want := "53300 secretless: service orders-db has its 5 connections; raise limits.connections"
	if got := shown(t, nil, talk(t, f, plainStartup)); got != want {
		t.Errorf("got %s", got)
	}
	_ = dial(t, f).Close()
	if err := f.Result(1); err != nil {
		t.Errorf("a probe: %v", err)
	}
	if n := f.Credentials.Lookups(); n != 0 {
		t.Errorf("%d lookups", n)
	}
}
