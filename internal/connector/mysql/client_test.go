package mysql

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"secretless/internal/testenv"
	"secretless/internal/wire/mysqlwire"
)

// The manners of clients, and how each of them comes to its OK.
func TestClientPlugins(t *testing.T) {
	fake := newFakeTarget(t, func(conn net.Conn) { _ = serveTarget(conn, sesame, nil) })
	hash := strings.Repeat("h", 32)
	for name, test := range map[string]struct {
		plugin, answer string
		without        mysqlwire.Capabilities
		wantSwitch     string
		second         string // the answer to it
		wantFast       bool
	}{
		"native":                       {plugin: pluginNative, answer: hash[:20]},
		"native without password":      {plugin: pluginNative},
		"no plugins":                   {without: mysqlwire.ClientPluginAuth | mysqlwire.ClientPluginAuthLenencClientData, answer: hash[:20]},
		"plugin not named":             {answer: hash[:20]},
		"caching at once":              {plugin: pluginCaching, answer: hash, wantFast: true},
		"caching, no use for scramble": {plugin: pluginCaching, wantSwitch: pluginCaching, second: hash, wantFast: true},
		"caching without password":     {plugin: pluginCaching, answer: "\x00", wantSwitch: pluginCaching, second: "\x00"},
		"caching, empty packet":        {plugin: pluginCaching, wantSwitch: pluginCaching},
		"sha256":                       {plugin: pluginSHA256, answer: "\x01", wantSwitch: pluginNative, second: hash[:20]},
		"clear text":                   {plugin: pluginClear, answer: "own password\x00", wantSwitch: pluginNative, second: hash[:20]},
		"ed25519":                      {plugin: pluginEd25519, answer: hash + hash, wantSwitch: pluginNative, second: hash[:20]},
		"unheard of":                   {plugin: "parsec", wantSwitch: pluginNative},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, Config{}, fake.creds())
			p := newPeer(dial(t, f))
			greeting := parseGreeting(t, p)
			r := plainResponse()
			r.Capabilities &^= test.without
			r.Plugin, r.AuthResponse = test.plugin, []byte(test.answer)
			if err := p.send(r.packet(1)); err != nil {
				t.Fatal(err)
			}
			payload := mustNext(t, p, 2)
			if test.wantSwitch != "" {
				request, err := mysqlwire.ParseAuthSwitchRequest(payload)
				if err != nil || request.Plugin != test.wantSwitch || string(request.Data) != string(greeting.Scramble)+"\x00" {
					t.Fatalf("%q: %+v, %v", payload, request, err)
				}
				if err := p.send(mysqlwire.AppendPacket(nil, 3, []byte(test.second))); err != nil {
					t.Fatal(err)
				}
				payload = mustNext(t, p, 4)
			}
			if test.wantFast {
				if string(payload) != "\x01\x03" {
					t.Fatalf("%q is not fast_auth_success", payload)
				}
				payload = mustNext(t, p, p.sequence+1)
			}
			if mysqlwire.KindOf(payload) != mysqlwire.KindOK {
				t.Fatalf("%q is no OK", payload)
			}
		})
	}
}

func mustNext(t *testing.T, p *peer, sequence byte) []byte {
	t.Helper()
	payload, err := p.next()
	if err != nil || p.sequence != sequence {
		t.Fatalf("packet %d, want %d; %v", p.sequence, sequence, err)
	}
	return payload
}

// A client is offered what the target has, once that is known, and the target
// gets what both have.
func TestCapabilitiesAreTheTargets(t *testing.T) {
	flags := make(chan mysqlwire.Capabilities, 10)
	before := targetGreeting()
	// What the broker would have to take part in is not passed on.
	before.Capabilities |= mysqlwire.ClientSSL | mysqlwire.MultiFactorAuthentication | mysqlwire.ClientCapabilityExtension | mysqlwire.ClientSSLVerifyServerCert
	var current atomic.Pointer[mysqlwire.HandshakeV10]
	current.Store(&before)
	fake := newFakeTarget(t, func(conn net.Conn) {
		p := newPeer(conn)
		_ = p.send(current.Load().Append(nil))
		payload, err := p.next()
		if err != nil {
			return
		}
		r, _ := mysqlwire.ParseHandshakeResponse41(payload)
		flags <- r.Capabilities
		_ = p.send(mysqlwire.OK{Status: 2}.Append(nil, 2))
		_, _ = p.next()
	})
	f := newFront(t, Config{Greeting: greetLearned}, fake.creds())
	everything := plainResponse()
	everything.Capabilities = offerable&^mysqlwire.ClientLongPassword | mysqlwire.ClientSSL | mysqlwire.MultiFactorAuthentication
	connect := func() (mysqlwire.HandshakeV10, []byte) {
		p := newPeer(dial(t, f))
		greeting := parseGreeting(t, p)
		r := everything
		r.Capabilities &= greeting.Capabilities | mysqlwire.ClientLongPassword
		_ = p.send(r.packet(1))
		payload, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		return greeting, payload
	}
	first, _ := connect()
	if first.Capabilities != universal || first.ServerVersion != unknownVersion {
		t.Errorf("greeted with %s, %q before the target is known", first.Capabilities, first.ServerVersion)
	}
	if got := <-flags; got&binding&^universal != 0 || got.Has(mysqlwire.ClientSSL) {
		t.Errorf("the target got %s", got)
	}
	second, _ := connect()
	if want := before.Capabilities&offerable | handled; second.Capabilities != want || second.ServerVersion != "8.0.36" || second.ConnectionID != 0 {
		t.Errorf("greeted with %s, %q; want %s", second.Capabilities, second.ServerVersion, want)
	}
	if got := <-flags; got&binding != before.Capabilities&binding {
		t.Errorf("the target got %s", got)
	}
	// The next target has less: one client is sent away, the others are
	// promised less, also after a target that has more again.
	less := before
	less.Capabilities &^= mysqlwire.ClientQueryAttributes
	current.Store(&less)
	_, payload := connect()
	want := "1105 08004 secretless: the target 127.0.0.1:PORT does not offer CLIENT_QUERY_ATTRIBUTES, which an earlier one did and which was promised to this client; connect again"
	if got := shown(t, fake, payload); got != want {
		t.Error(got)
	}
	for range 3 {
		greeting, payload := connect()
		if greeting.Capabilities.Has(mysqlwire.ClientQueryAttributes) || mysqlwire.KindOf(payload) != mysqlwire.KindOK {
			t.Errorf("greeted with %s, answered %q", greeting.Capabilities, payload)
		}
		<-flags
		current.Store(&before)
	}
}

// MariaDB's extended capabilities stand where MySQL has zeros.
func TestExtendedCapabilities(t *testing.T) {
	s := testenv.MariaDB(t, testenv.Maria{})
	f := newFront(t, Config{Greeting: greetLearned}, creds(s, s.Users.Native))
	for round := range 2 {
		p := newPeer(dial(t, f))
		greeting := parseGreeting(t, p)
		if got := greeting.Capabilities.Has(mysqlwire.MariaDBClientCacheMetadata); got != (round == 1) {
			t.Errorf("round %d: greeted with %s", round, greeting.Capabilities)
		}
		r := plainResponse()
		r.Capabilities = greeting.Capabilities
		if err := p.send(r.packet(1)); err != nil {
			t.Fatal(err)
		}
		if payload := mustNext(t, p, 2); mysqlwire.KindOf(payload) != mysqlwire.KindOK {
			t.Fatalf("round %d: %q", round, payload)
		}
	}
}

func TestServerVersionIsConfigured(t *testing.T) {
	f := newFront(t, Config{Greeting: greetLearned, ServerVersion: "5.7.44-log"}, map[string]string{"host": "127.0.0.1"})
	if got := parseGreeting(t, newPeer(dial(t, f))).ServerVersion; got != "5.7.44-log" {
		t.Error(got)
	}
}

func TestConfigErrors(t *testing.T) {
	for want, config := range map[string]Config{
		`greeting "eager" is unknown; use one of auto, learned, target`:                                                                                  {Greeting: "eager"},
		"serverVersion is longer than 100 bytes, or has other than printable ASCII characters":                                                           {ServerVersion: "8\x00"},
		`requireAuth: "md5" is unknown; use some of mysql_native_password, caching_sha2_password, sha256_password, mysql_clear_password, client_ed25519`: {RequireAuth: []string{"md5"}},
	} {
		if err := config.complete(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
