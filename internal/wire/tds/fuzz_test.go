package tds

import (
	"bytes"
	"io"
	"reflect"
	"testing"

	"secretless/internal/wire/readahead"
)

func FuzzParsePrelogin(f *testing.F) {
	for _, name := range clients {
		f.Add(capture(f, name+"-prelogin")[HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ParsePrelogin(body)
		if err != nil {
			return
		}
		_, _ = p.Encryption(), p.MARS()
		again, err := ParsePrelogin(p.Append(nil))
		if err != nil || len(again) != len(p) {
			t.Fatalf("%v: %v, was %v", err, again, p)
		}
		for i := range p {
			if again[i].Option != p[i].Option || !bytes.Equal(again[i].Data, p[i].Data) {
				t.Fatalf("%v, was %v", again[i], p[i])
			}
		}
	})
}

func FuzzParseLogin7(f *testing.F) {
	for _, name := range clients {
		f.Add(capture(f, name+"-login7")[HeaderSize:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := ParseLogin7(body)
		if err != nil {
			return
		}
		if !Wide(l.TDSVersion) {
			l.ChangePassword = nil // has no place
		}
		out, err := l.Append(nil)
		if err != nil {
			return // several fields may share bytes in what was read
		}
		if len(out) > l.Size() {
			t.Fatalf("%d bytes, more than %d", len(out), l.Size())
		}
		if back, err := ParseLogin7(out); err != nil || !reflect.DeepEqual(normal(back), normal(l)) {
			t.Fatalf("%v: %+v, was %+v", err, back, l)
		}
	})
}

func FuzzParseLoginResponse(f *testing.F) {
	f.Add(LoginAck{Interface: 1, TDSVersion: Version74, ProgName: "SQL"}.Append(nil), Version74)
	f.Add(Routing{"a", 1}.Append(ServerError{Message: "m"}.Append(nil, TokenError, true)), Version80)
	f.Add(appendFeatureExtAck(AppendDone(nil, TokenDone, 0, 0, 0, false)), Version71)
	f.Fuzz(func(t *testing.T, body []byte, version uint32) {
		got, err := ParseLoginResponse(body, version)
		if err == nil && got.Ack != nil {
			SetAckVersion(body, version, Version74)
		}
	})
}

// What ReadMessage returns is what went in, up to where the message ends.
func FuzzReadMessage(f *testing.F) {
	f.Add(AppendMessage(nil, TypeReply, 1, 512, make([]byte, 2000)), 4096)
	f.Fuzz(func(t *testing.T, raw []byte, limit int) {
		limit = min(max(limit, 0), 1<<16)
		r := readahead.New(bytes.NewReader(raw))
		m, err := ReadMessage(r, TypeReply, limit)
		if err != nil {
			return
		}
		if len(m.Raw) > limit || !bytes.HasPrefix(raw, m.Raw) || len(m.Body) > len(m.Raw) {
			t.Fatalf("%x of %x", m.Raw, raw)
		}
		if rest := r.Rest(); !bytes.HasPrefix(raw[len(m.Raw):], rest) {
			t.Fatalf("rest %x of %x", rest, raw)
		}
	})
}

// Aligned neither loses nor adds nor reorders, whatever it is given.
func FuzzAligned(f *testing.F) {
	f.Add(AppendMessage(nil, TypeBatch, 0, 512, make([]byte, 2000)), 7)
	f.Add(smpPacket([]byte("x")), 3)
	f.Fuzz(func(t *testing.T, all []byte, size int) {
		size = min(max(size, 1), 1<<16)
		r := &record{}
		a := Align(r)
		for rest := all; len(rest) > 0; {
			n := min(size, len(rest))
			if wrote, err := a.Write(rest[:n]); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		if err := a.CloseWrite(); err != nil || !bytes.Equal(bytes.Join(r.writes, nil), all) {
			t.Fatalf("%v: %x, was %x", err, r.writes, all)
		}
	})
}

func FuzzTLSConn(f *testing.F) {
	f.Add(AppendMessage(nil, TypePrelogin, 0, 16, []byte("a flight of records")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := io.ReadAll(NewTLSConn(source{Reader: bytes.NewReader(raw)}))
		if len(got) > len(raw) {
			t.Fatal(len(got), err)
		}
	})
}
