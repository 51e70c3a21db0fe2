package mysqlwire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// Captured between MariaDB 10.11 and its command line client.
const (
	capturedGreeting = "d\x00\x00\x00\n5.5.5-10.11.19-MariaDB-0+deb12u1\x00\x05\x00\x00\x00?4)kb-UF\x00\xfe\xf7\b\x02\x00\xff\x81\x15\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00>D{^DwPe-O&m\x00mysql_native_password\x00"
	capturedResponse = "\xd1\x00\x00\x01\x8c\xa2\xbf\x00\x00\x00\x10\x00!\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1d\x00\x00\x00u\x00\x14\xf5}\x85W\xc6\xe1\xf1\xf0!\xdc\xcc\x9cw\x9ct.\xac\x82\xeb5app\x00mysql_native_password\x00\x7f\x03_os\x05Linux\f_client_name\nlibmariadb\x04_pid\x0517057\x0f_client_version\x063.3.20\t_platform\x06x86_64\fprogram_name\x05mysql\f_server_host\t127.0.0.1"
	capturedSwitch   = "0\x00\x00\x02\xfeclient_ed25519\x00\a\xf8\xd2;ޱ\xf3/i4$\tSS9\xd59\xceW\x13m\xbd\xd9{\xef7\x1bL\xf0m\xf1`"
	capturedERR      = "E\x00\x00\x02\xff\x15\x04#28000Access denied for user 'u'@'localhost' (using password: YES)"
	capturedOK       = "\x0f\x00\x00\x02\x00\x00\x00\x02@\x00\x00\x00\x06\x01\x04\x03app"
)

func payload(packet string) []byte { return []byte(packet[HeaderSize:]) }

func TestHandshakeV10(t *testing.T) {
	h, err := ParseHandshakeV10(payload(capturedGreeting))
	if err != nil {
		t.Fatal(err)
	}
	if h.ServerVersion != "5.5.5-10.11.19-MariaDB-0+deb12u1" || h.ConnectionID != 5 || h.Charset != 8 || h.Status != 2 ||
		string(h.Scramble) != "?4)kb-UF>D{^DwPe-O&m" || h.Plugin != "mysql_native_password" {
		t.Errorf("%+v", h)
	}
	if h.Capabilities.Has(ClientLongPassword) || !h.Capabilities.Has(ClientDeprecateEOF|ClientCompress|MariaDBClientProgress|MariaDBClientCacheMetadata) || h.Capabilities.Has(ClientSSL) {
		t.Errorf("capabilities %s", h.Capabilities)
	}
	if got := h.Append(nil); string(got) != capturedGreeting {
		t.Errorf("got  %q\nwant %q", got, capturedGreeting)
	}
}

func TestHandshakeV10Refused(t *testing.T) {
	if _, err := ParseHandshakeV10([]byte("\x09" + capturedGreeting[5:])); !errors.As(err, new(VersionError)) {
		t.Errorf("version 9: %v", err)
	}
	if _, err := ParseHandshakeV10([]byte("\x0a" + strings.Repeat("8", 256) + capturedGreeting[37:])); !errors.Is(err, ErrMalformed) {
		t.Errorf("long version: %v", err)
	}
	whole := payload(capturedGreeting)
	named := bytes.Index(whole, []byte("mysql_native"))
	for n := range named {
		if _, err := ParseHandshakeV10(whole[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
}

func TestHandshakeResponse41(t *testing.T) {
	r, err := ParseHandshakeResponse41(payload(capturedResponse))
	if err != nil {
		t.Fatal(err)
	}
	if r.User != "u" || r.Database != "app" || r.Plugin != "mysql_native_password" || r.Charset != 0x21 || r.MaxPacketSize != 1<<20 ||
		len(r.AuthResponse) != 20 || len(r.Attributes) != 0x7f || !strings.HasPrefix(string(r.Attributes), "\x03_os\x05Linux") {
		t.Errorf("%+v", r)
	}
	if !r.Capabilities.Has(MariaDBClientCacheMetadata) || r.Capabilities.Has(ClientLongPassword|ClientSSL) {
		t.Errorf("capabilities %s", r.Capabilities)
	}
	got, err := r.Append(nil, 1)
	if err != nil || string(got) != capturedResponse {
		t.Errorf("%v\ngot  %q\nwant %q", err, got, capturedResponse)
	}
	if len(got) > r.Size() {
		t.Errorf("%d bytes, Size says %d", len(got), r.Size())
	}
}

// What a server takes from clients of different manners.
func TestHandshakeResponse41Forms(t *testing.T) {
	fixed := func(flags Capabilities) string {
		return string(HandshakeResponse41{Capabilities: flags | ClientProtocol41}.appendFixed(nil))
	}
	const secure, lenenc = ClientSecureConnection, ClientPluginAuthLenencClientData
	for name, c := range map[string]struct {
		payload string
		want    HandshakeResponse41
		err     string
	}{
		"no auth length":        {fixed(0) + "me\x00secret", HandshakeResponse41{User: "me", AuthResponse: []byte("secret")}, ""},
		"one byte of length":    {fixed(secure) + "me\x00\x02ab", HandshakeResponse41{User: "me", AuthResponse: []byte("ab")}, ""},
		"lenenc":                {fixed(secure|lenenc) + "me\x00\xfc\x02\x00ab", HandshakeResponse41{User: "me", AuthResponse: []byte("ab")}, ""},
		"database left out":     {fixed(secure|ClientConnectWithDB|ClientPluginAuth|ClientConnectAttrs) + "me\x00\x00", HandshakeResponse41{User: "me"}, ""},
		"plugin without NUL":    {fixed(secure|ClientPluginAuth) + "me\x00\x00some", HandshakeResponse41{User: "me", Plugin: "some"}, ""},
		"zstd":                  {fixed(secure|ClientZstdCompressionAlgorithm) + "me\x00\x00\x07", HandshakeResponse41{User: "me", ZstdLevel: 7}, ""},
		"attributes too short":  {fixed(secure|ClientConnectAttrs) + "me\x00\x00\x05\x01a", HandshakeResponse41{}, "connection attributes"},
		"attribute cut":         {fixed(secure|ClientConnectAttrs) + "me\x00\x00\x03\x01a\x05", HandshakeResponse41{}, "connection attributes"},
		"attribute of NULL":     {fixed(secure|ClientConnectAttrs) + "me\x00\x00\x03\x01a\xfb", HandshakeResponse41{}, "connection attributes"},
		"no user":               {fixed(secure), HandshakeResponse41{}, "user"},
		"auth response too big": {fixed(secure|lenenc) + "me\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xffab", HandshakeResponse41{}, "auth response"},
		"empty":                 {"", HandshakeResponse41{}, "capabilities"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseHandshakeResponse41([]byte(c.payload))
			if c.err != "" {
				if !errors.Is(err, ErrMalformed) || !strings.HasSuffix(err.Error(), "wrong at its "+c.err) {
					t.Errorf("got %v, want an error about %s", err, c.err)
				}
				return
			}
			got.Capabilities = 0
			if len(got.AuthResponse) == 0 {
				got.AuthResponse = nil
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestHandshakeResponse320(t *testing.T) {
	if _, err := ParseHandshakeResponse41([]byte("\x05\xa4\x00\x00\x01old\x00pass")); !errors.Is(err, ErrHandshakeResponse320) {
		t.Error(err)
	}
}

func TestSSLRequest(t *testing.T) {
	r := HandshakeResponse41{Capabilities: ClientProtocol41 | ClientSSL, Charset: 45, MaxPacketSize: 1 << 24}
	got := r.AppendSSLRequest(nil, 1)
	want := "\x20\x00\x00\x01\x00\x0a\x00\x00\x00\x00\x00\x01\x2d" + strings.Repeat("\x00", 23)
	if string(got) != want || !IsSSLRequest(got[HeaderSize:]) {
		t.Errorf("got %q", got)
	}
	if IsSSLRequest(payload(capturedResponse)) || IsSSLRequest(make([]byte, 32)) {
		t.Error("not an SSLRequest")
	}
}

func TestTextsWithNULAreNotSent(t *testing.T) {
	for _, r := range []HandshakeResponse41{{User: "a\x00b"}, {Database: "a\x00"}, {Plugin: "\x00"}} {
		if _, err := r.Append(nil, 1); !errors.Is(err, ErrNUL) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestLongAuthResponseNeedsLenenc(t *testing.T) {
	r := HandshakeResponse41{Capabilities: ClientProtocol41 | ClientSecureConnection, AuthResponse: make([]byte, 256)}
	if _, err := r.Append(nil, 1); err == nil {
		t.Error("256 bytes with one byte of length")
	}
	r.Capabilities |= ClientPluginAuthLenencClientData
	if _, err := r.Append(nil, 1); err != nil {
		t.Error(err)
	}
}

func TestAuthPackets(t *testing.T) {
	a, err := ParseAuthSwitchRequest(payload(capturedSwitch))
	if err != nil || a.Plugin != "client_ed25519" || len(a.Data) != 32 {
		t.Errorf("%+v, %v", a, err)
	}
	if got := a.Append(nil, 2); string(got) != capturedSwitch {
		t.Errorf("got %q", got)
	}
	if _, err := ParseAuthSwitchRequest([]byte("\xfeplugin")); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	more := AppendAuthMoreData(nil, 3, 4)
	if string(more) != "\x02\x00\x00\x03\x01\x04" || string(AuthMoreData(more[HeaderSize:])) != "\x04" {
		t.Errorf("%q", more)
	}
	for packet, kind := range map[string]Kind{
		"": KindUnknown, "\x00": KindOK, "\xff": KindERR, "\xfe": KindOldAuthSwitch, "\xfea": KindAuthSwitch,
		"\x01": KindAuthMoreData, "\x02": KindAuthNextFactor, "\x03": KindUnknown,
	} {
		if got := KindOf([]byte(packet)); got != kind {
			t.Errorf("%q: %d, want %d", packet, got, kind)
		}
	}
}

func TestResults(t *testing.T) {
	ok, err := ParseOK(payload(capturedOK))
	if err != nil || ok != (OK{Status: 0x4002}) {
		t.Errorf("%+v, %v", ok, err)
	}
	if got := (OK{AffectedRows: 300, Status: 2}).Append(nil, 7); string(got) != "\x09\x00\x00\x07\x00\xfc\x2c\x01\x00\x02\x00\x00\x00" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", "\x00", "\x00\xfb\x00\x02\x00\x00\x00", "\x00\x00\x00\x02", "\xfe\x00\x00\x02\x00\x00\x00"} {
		if _, err := ParseOK([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	e, err := ParseERR(payload(capturedERR))
	if err != nil || e.Number != 1045 || e.State != "28000" || e.Message != "Access denied for user 'u'@'localhost' (using password: YES)" {
		t.Errorf("%+v, %v", e, err)
	}
	if got := e.Append(nil, 2); string(got) != capturedERR {
		t.Errorf("%q", got)
	}
	early, err := ParseERR([]byte("\xff\x6a\x04Host '10.0.0.1' is not allowed"))
	if err != nil || early.Number != 1130 || early.State != "" || early.Message != "Host '10.0.0.1' is not allowed" {
		t.Errorf("%+v, %v", early, err)
	}
	if _, err := ParseERR([]byte("\xff\x15")); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestLenenc(t *testing.T) {
	for _, n := range []uint64{0, 250, 251, 0xffff, 0x10000, 0xffffff, 0x1000000, 1<<64 - 1} {
		c := &cursor{rest: appendLenenc(nil, n)}
		if got := c.lenenc("n"); got != n || c.err != nil || len(c.rest) > 0 {
			t.Errorf("%d became %d, %v", n, got, c.err)
		}
	}
}

func TestCapabilityNames(t *testing.T) {
	if n := len(capabilityNames()); Capabilities(1)<<(n-1) != MariaDBClientBulkUnitResults {
		t.Errorf("%d names", n)
	}
	if got := (ClientZstdCompressionAlgorithm | 1<<50).String(); got != "CLIENT_ZSTD_COMPRESSION_ALGORITHM, bit 50" {
		t.Error(got)
	}
}

func TestParseHeader(t *testing.T) {
	if n, sequence, err := ParseHeader([]byte(capturedGreeting)); n != 100 || sequence != 0 || err != nil {
		t.Errorf("%d, %d, %v", n, sequence, err)
	}
	if n, sequence, err := ParseHeader([]byte{0, 0, 2, 9}); n != MaxPayload || sequence != 9 || err != nil {
		t.Errorf("%d, %d, %v", n, sequence, err)
	}
	if _, _, err := ParseHeader([]byte{1, 0, 2, 0}); err != (LengthError{MaxPayload + 1}) {
		t.Error(err)
	}
}
