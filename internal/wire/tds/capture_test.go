package tds

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"secretless/internal/wire/readahead"
)

// capture is the bytes in a hex dump of what a client has really sent (to a
// listener that answered PRELOGIN; hardware addresses are zeroed).
func capture(t testing.TB, name string) []byte {
	t.Helper()
	dump, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for line := range strings.Lines(string(dump)) {
		_, line, _ = strings.Cut(line, "  ")
		line, _, _ = strings.Cut(line, "|")
		b, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func message(t testing.TB, want PacketType, raw []byte) []byte {
	t.Helper()
	m, err := ReadMessage(readahead.New(bytes.NewReader(raw)), want, len(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m.Body
}

var clients = []string{"gomssqldb", "odbc", "tedious", "tsql7.1", "tsql7.4"}

func TestCapturedPrelogins(t *testing.T) {
	for _, name := range clients {
		body := message(t, TypePrelogin, capture(t, name+"-prelogin"))
		p, err := ParsePrelogin(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := p.Append(nil); !bytes.Equal(again, body) {
			t.Errorf("%s: written as %x, was %x", name, again, body)
		}
		want := EncryptNotSupported
		if name == "odbc" {
			want = p.Encryption()
		}
		if p.MARS() || p.Encryption() != want {
			t.Errorf("%s: encryption %d, MARS %v", name, p.Encryption(), p.MARS())
		}
		if version, ok := p.Get(OptionVersion); !ok || len(version) != 6 {
			t.Errorf("%s: version %x", name, version)
		}
	}
}

func TestCapturedLogins(t *testing.T) {
	type fields struct {
		version                                uint32
		app, server, library, language, intent string
		features                               []Feature
	}
	utf8 := []Feature{{ID: 0x0A, Data: []byte{1}}}
	for name, want := range map[string]fields{
		"gomssqldb": {Version74, "the app", "127.0.0.1", "go-mssqldb", "", "read", nil},
		"odbc":      {Version74, "", "127.0.0.1", "", "us_english", "", utf8},
		"tedious":   {Version74, "the app", "127.0.0.1", "Tedious", "us_english", "", utf8},
		"tsql7.1":   {Version71, "TSQL", "test", "TDS-Library", "us_english", "", nil},
		"tsql7.4":   {Version74, "TSQL", "test", "TDS-Library", "us_english", "", utf8},
	} {
		t.Run(name, func(t *testing.T) {
			body := message(t, TypeLogin7, capture(t, name+"-login7"))
			l, err := ParseLogin7(body)
			if err != nil {
				t.Fatal(err)
			}
			got := fields{l.TDSVersion, l.AppName.String(), l.ServerName.String(), l.CltIntName.String(), l.Language.String(), "", l.Features}
			if l.TypeFlags&TypeFlagReadOnlyIntent != 0 {
				got.intent = "read"
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if l.HostName.String() != "desk" || l.UserName.String() != "nobody" || RevealPassword(l.Password).String() != "wrong" || l.Database.String() != "shop" || l.PacketSize != 4096 {
				t.Errorf("got %+v", l)
			}
			again, err := l.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Features) == 0 && !bytes.Equal(again, body) {
				t.Errorf("written as\n%x, was\n%x", again, body)
			}
			if back, err := ParseLogin7(again); err != nil || !reflect.DeepEqual(normal(back), normal(l)) {
				t.Errorf("%v: came back as %+v, was %+v", err, back, l)
			}
		})
	}
}

// normal makes empty fields equal, whether nil or not.
func normal(l Login7) Login7 {
	for _, f := range login7Fields(true) {
		if data := f.data(&l); len(*data) == 0 {
			*data = nil
		}
	}
	if len(l.SSPI) == 0 {
		l.SSPI = nil
	}
	for i := range l.Features {
		if len(l.Features[i].Data) == 0 {
			l.Features[i].Data = nil
		}
	}
	if len(l.Features) == 0 {
		l.Features = nil
	}
	l.OptionFlags3 &^= Flag3Extension
	return l
}

// What SQL Server 2008 R2 has answered a client, as its user reported it
// (tedious issue 610): an empty THREADID shares its offset with MARS.
func TestPreloginOfARealServer(t *testing.T) {
	raw, err := hex.DecodeString("0401002B000001000000" + "1A00060100200001020021000103002200000400220001FF0A000FA00000010000")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePrelogin(message(t, TypeReply, raw))
	if err != nil {
		t.Fatal(err)
	}
	version, _ := p.Get(OptionVersion)
	if !bytes.Equal(version, []byte{10, 0, 0x0F, 0xA0, 0, 0}) || p.Encryption() != EncryptOn || p.MARS() {
		t.Errorf("%v", p)
	}
}
