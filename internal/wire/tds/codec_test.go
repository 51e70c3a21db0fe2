package tds

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"secretless/internal/wire/readahead"
)

func TestReadMessageLeavesWhatItDoesNotOwn(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1000)
	raw := AppendMessage(nil, TypeReply, 7, 512, body)
	for name, src := range map[string]io.Reader{
		"at once":      bytes.NewReader(append(bytes.Clone(raw), "behind"...)),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(append(bytes.Clone(raw), "behind"...))),
	} {
		r := readahead.New(src)
		m, err := ReadMessage(r, TypeReply, len(raw))
		if err != nil || !bytes.Equal(m.Body, body) || !bytes.Equal(m.Raw, raw) || m.SPID != 7 {
			t.Fatalf("%s: %v", name, err)
		}
		behind, err := r.Peek(6)
		if err != nil || string(behind) != "behind" || string(r.Rest()) != "behind" || r.Buffered() != 6 {
			t.Errorf("%s: %q, %v", name, behind, err)
		}
	}
}

func TestReadMessageRefuses(t *testing.T) {
	part := Header{Type: TypeReply, Length: 9}
	other := Header{Type: TypeBatch, Length: 9, Status: StatusEOM}
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"short length":   {[]byte{4, 1, 0, 7, 0, 0, 0, 0}, "packet: length 7 is below that of its header"},
		"another type":   {AppendMessage(nil, TypeBatch, 0, 512, nil), "packet: type 0x01 instead of 0x04"},
		"a change":       {other.Append(append(part.Append(nil), 'x')), "packet: type 0x01 instead of 0x04"},
		"too long":       {AppendMessage(nil, TypeReply, 0, 512, make([]byte, 3000)), "message: longer than 2000 bytes"},
		"nothing":        {nil, "EOF"},
		"half a header":  {[]byte{4, 1, 0}, "unexpected EOF"},
		"half a packet":  {Header{Type: TypeReply, Length: 20, Status: StatusEOM}.Append(nil), "unexpected EOF"},
		"half a message": {append(part.Append(nil), 'x'), "unexpected EOF"},
	} {
		if _, err := ReadMessage(readahead.New(bytes.NewReader(c.raw)), TypeReply, 2000); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// Packets without data must not keep a reader busy for ever.
func TestReadMessageBoundsEmptyPackets(t *testing.T) {
	empty := Header{Type: TypeReply, Length: HeaderSize}.Append(nil)
	_, err := ReadMessage(readahead.New(bytes.NewReader(bytes.Repeat(empty, 10_000))), TypeReply, 2000)
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Errorf("got %v", err)
	}
}

func TestPreloginRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"nothing":            {nil, "the table of options does not end"},
		"no terminator":      {[]byte{0, 0, 6, 0, 6}, "the table of options does not end"},
		"too many":           {append(bytes.Repeat([]byte{9, 0, 0, 0, 0}, 40), 0xFF), "more than 32 options"},
		"twice":              {[]byte{1, 0, 11, 0, 1, 1, 0, 12, 0, 1, 0xFF, 0, 0}, "option 0x01 comes twice"},
		"beyond the end":     {[]byte{1, 0, 6, 0, 2, 0xFF, 0}, "option 0x01 lies outside the message"},
		"in the table":       {[]byte{1, 0, 2, 0, 1, 0xFF, 0}, "option 0x01 lies outside the message"},
		"at the terminator":  {[]byte{1, 0, 5, 0, 1, 0xFF, 0}, "option 0x01 lies outside the message"},
		"overlap":            {[]byte{1, 0, 11, 0, 1, 4, 0, 11, 0, 1, 0xFF, 0}, "option 0x04 overlaps another"},
		"size of VERSION":    {[]byte{0, 0, 6, 0, 1, 0xFF, 0}, "option 0x00 has 1 bytes"},
		"size of ENCRYPTION": {[]byte{1, 0, 0, 0, 0, 0xFF}, "option 0x01 has 0 bytes"},
	} {
		if _, err := ParsePrelogin(c.body); err == nil || err.Error() != "PRELOGIN: "+c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func wholeLogin() Login7 {
	return Login7{
		TDSVersion: Version74, PacketSize: 8000, ClientProgVer: 1, ClientPID: 2, ConnectionID: 3,
		OptionFlags1: 0xE0, OptionFlags2: 3, TypeFlags: TypeFlagReadOnlyIntent, OptionFlags3: 0x08,
		ClientTimeZone: 0xFFFFFF88, ClientLCID: 1033, ClientID: [6]byte{1, 2, 3, 4, 5, 6},
		HostName: MakeText("h"), UserName: MakeText("usér"), Password: []byte{0xA5, 0xA5}, AppName: MakeText("𝄞"),
		ServerName: MakeText("s"), CltIntName: MakeText("c"), Language: MakeText("l"), Database: MakeText("d"),
		AtchDBFile: MakeText("f"), ChangePassword: []byte{1, 2}, SSPI: []byte{3},
		Features: []Feature{{1, []byte{1, 2, 3}}, {0x0E, nil}, {0x7F, bytes.Repeat([]byte{9}, 300)}},
	}
}

func TestLogin7KeepsEveryField(t *testing.T) {
	l := wholeLogin()
	body, err := l.Append(make([]byte, 0, l.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if cap(body) != l.Size() {
		t.Error("the message was moved: a copy of the password is left behind")
	}
	back, err := ParseLogin7(body)
	if err != nil || !reflect.DeepEqual(normal(back), normal(l)) {
		t.Errorf("%v: got %+v\nwant %+v", err, back, l)
	}
}

func TestLogin7LongSSPI(t *testing.T) {
	l := wholeLogin()
	l.SSPI = bytes.Repeat([]byte{7}, 70_000)
	l.Features = nil
	body, err := l.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ParseLogin7(body); err != nil || !bytes.Equal(back.SSPI, l.SSPI) {
		t.Errorf("%v: %d bytes", err, len(back.SSPI))
	}
}

func TestLogin7Refuses(t *testing.T) {
	l := wholeLogin()
	good, err := l.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, b ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[at:], b)
		return out
	}
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"too short":           {good[:50], "50 bytes are too few"},
		"another length":      {good[:len(good)-1], "length 446 of a message of 445 bytes"},
		"field beyond":        {change(68, 0xFF, 0xFF), "outside the message"},
		"field in the fixed":  {change(68, 10, 0), "outside the message"},
		"length beyond":       {change(70, 0xFF, 0xFF), "outside the message"},
		"extension too small": {change(58, 3, 0), "extension of 3 bytes"},
		"no terminator":       {change(len(good)-1, 0x33), "no terminator"},
	} {
		if _, err := ParseLogin7(c.body); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	l.HostName = make(Text, 2*70_000)
	if _, err := l.Append(nil); err == nil {
		t.Error("a field of 70,000 characters was written")
	}
}

func TestFeaturesAreBounded(t *testing.T) {
	features := make([]Feature, 64)
	if got, rest, err := ParseFeatures(AppendFeatures(nil, features)); err != nil || len(got) != 64 || len(rest) != 0 {
		t.Errorf("%d features, %d bytes behind them, %v", len(got), len(rest), err)
	}
	if _, _, err := ParseFeatures(AppendFeatures(nil, append(features, Feature{}))); err == nil || err.Error() != "features: more than 64" {
		t.Error(err)
	}
}

func TestPassword(t *testing.T) {
	got, err := ObfuscatePassword([]byte("wrong"))
	if err != nil || !bytes.Equal(got, []byte{0xd2, 0xa5, 0x82, 0xa5, 0x53, 0xa5, 0x43, 0xa5, 0xd3, 0xa5}) {
		t.Errorf("%x, %v", got, err) // as go-mssqldb, FreeTDS and tedious have it: see testdata
	}
	const odd = "pä𝄞ss{w}\x00"
	if got, err = ObfuscatePassword([]byte(odd)); err != nil || RevealPassword(got).String() != odd {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := ObfuscatePassword([]byte{0xff}); !errors.Is(err, ErrPassword) {
		t.Error(err)
	}
}

func TestLoginResponse(t *testing.T) {
	for _, version := range []uint32{Version71, Version74, Version80} {
		wide := Wide(version)
		want := ServerError{Number: 18456, State: 2, Class: 14, Message: "Łogin failed", ServerName: "srv", ProcName: "p", LineNumber: 3}
		body := want.Append(nil, TokenInfo, wide)
		body = want.Append(body, TokenError, wide)
		body = appendFeatureExtAck(body)
		body = append(body, byte(TokenSessionState), 1, 0, 0, 0, 9)
		body = AppendEnvText(body, EnvDatabase, "shop", "master")
		body = Routing{"other.example", 11003}.Append(body)
		body = LoginAck{Interface: 1, TDSVersion: version, ProgName: "SQL", ProgVer: [4]byte{1, 2, 3, 4}}.Append(body)
		body = AppendDone(body, TokenDone, DoneError, 0, 5, wide)
		got, err := ParseLoginResponse(body, version)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Errors, []ServerError{want}) || *got.Routing != (Routing{"other.example", 11003}) || got.Ack.ProgName != "SQL" || got.Ack.TDSVersion != version {
			t.Errorf("%+v", got)
		}
		if !wide {
			continue
		}
		SetAckVersion(body, version, Version73)
		if got, err = ParseLoginResponse(body, version); err != nil || got.Ack.TDSVersion != Version73 {
			t.Errorf("%+v, %v", got.Ack, err)
		}
	}
}

func appendFeatureExtAck(dst []byte) []byte {
	return AppendFeatures(append(dst, byte(TokenFeatureExtAck)), []Feature{{0x0A, []byte{1}}})
}

func TestLoginResponseRefuses(t *testing.T) {
	for name, body := range map[string][]byte{
		"unknown token":    {0x81},
		"cut off":          {byte(TokenError), 5, 0, 1},
		"no length":        {byte(TokenError), 5},
		"cut-off error":    AppendToken(nil, TokenError, []byte{1, 2, 3}),
		"cut-off ack":      AppendToken(nil, TokenLoginAck, []byte{1, 2, 3}),
		"two acks":         LoginAck{}.Append(LoginAck{}.Append(nil)),
		"route nowhere":    Routing{"", 1}.Append(nil),
		"route to port 0":  Routing{"a", 0}.Append(nil),
		"route not by TCP": AppendToken(nil, TokenEnvChange, []byte{20, 7, 0, 1, 1, 0, 1, 0, 'a', 0}),
		"endless features": {byte(TokenFeatureExtAck), 1, 0xFF, 0xFF, 0xFF, 0xFF},
		"huge state":       binary.LittleEndian.AppendUint32([]byte{byte(TokenSessionState)}, 0xFFFFFFFF),
	} {
		if got, err := ParseLoginResponse(body, Version74); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// record collects writes.
type record struct {
	net.Conn
	writes [][]byte
	closed bool
}

func (r *record) Write(p []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(p))
	return len(p), nil
}

func (r *record) CloseWrite() error {
	r.closed = true
	return nil
}

func smpPacket(data []byte) []byte {
	head := append([]byte{smpByte, 8, 1, 0}, binary.LittleEndian.AppendUint32(nil, uint32(smpHeader+len(data)))...)
	return append(append(head, make([]byte, 8)...), data...)
}

// However the bytes come, each packet leaves alone and whole.
func TestAlignedPackets(t *testing.T) {
	packets := [][]byte{
		AppendMessage(nil, TypeAttention, 0, 512, nil),
		AppendMessage(nil, TypeBatch, 0, 4096, make([]byte, 4088)),
		AppendMessage(nil, TypeRPC, 0, 4096, []byte("short")),
		smpPacket(AppendMessage(nil, TypeBatch, 0, 4096, []byte("one of many"))),
		AppendMessage(nil, TypeBatch, 0, 32767, make([]byte, 32000)),
	}
	all := bytes.Join(packets, nil)
	for _, size := range []int{1, 3, 7, 8, 9, 100, 4095, 4096, 5000, len(all)} {
		r := &record{}
		a := Align(r)
		for at := 0; at < len(all); at += size {
			part := all[at:min(at+size, len(all))]
			if n, err := a.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if !reflect.DeepEqual(r.writes, packets) {
			t.Errorf("in pieces of %d: %d writes", size, len(r.writes))
		}
	}
}

func TestAlignedLosesNothing(t *testing.T) {
	r := &record{}
	a := Align(r)
	_, _ = a.Write([]byte{1, 1, 0, 20, 0})
	if len(r.writes) > 0 {
		t.Error("half a packet was written")
	}
	if err := a.CloseWrite(); err != nil || !r.closed || !bytes.Equal(bytes.Join(r.writes, nil), []byte{1, 1, 0, 20, 0}) {
		t.Errorf("%v, closed %v: %x", err, r.closed, r.writes)
	}
}

func TestTLSConn(t *testing.T) {
	r := &record{}
	c := NewTLSConn(r)
	flight := bytes.Repeat([]byte("x"), 5000)
	if n, err := c.Write(flight); n != 5000 || err != nil {
		t.Fatal(n, err)
	}
	if len(r.writes) != 1 || !bytes.Equal(message(t, TypePrelogin, r.writes[0]), flight) {
		t.Errorf("%d writes", len(r.writes))
	}
	c.HandshakeDone()
	_, _ = c.Write([]byte("bare"))
	if string(r.writes[1]) != "bare" {
		t.Errorf("%q", r.writes[1])
	}
}

// source is a connection that is read from.
type source struct {
	net.Conn
	io.Reader
}

func (s source) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func TestTLSConnReadsItsPacketsAndNoMore(t *testing.T) {
	raw := append(AppendMessage(nil, TypePrelogin, 0, 16, []byte("a flight of records")), "bare"...)
	src := bytes.NewReader(raw)
	c := NewTLSConn(source{Reader: src})
	got := make([]byte, len("a flight of records"))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "a flight of records" {
		t.Fatalf("%q, %v", got, err)
	}
	if src.Len() != len("bare") {
		t.Errorf("%d bytes left", src.Len())
	}
	c.HandshakeDone()
	if rest, err := io.ReadAll(c); err != nil || string(rest) != "bare" {
		t.Errorf("%q, %v", rest, err)
	}
	c = NewTLSConn(source{Reader: bytes.NewReader(AppendMessage(nil, TypeReply, 0, 16, []byte("x")))})
	if _, err := c.Read(got); err == nil || err.Error() != "TLS handshake: packet of type 0x04" {
		t.Error(err)
	}
}
