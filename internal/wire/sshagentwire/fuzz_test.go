package sshagentwire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func FuzzRequests(f *testing.F) {
	f.Add([]byte{byte(RequestIdentities)})
	f.Add(Frame(SignRequestMessage, AppendString(nil, "key"), AppendString(nil, "data"), []byte{0, 0, 0, 4})[4:])
	f.Add(Frame(ExtensionMessage, AppendString(nil, Query))[4:])
	f.Add(Frame(ExtensionMessage, AppendString(nil, SessionBindName), bindOf("key", "id", "sig", 1))[4:])
	f.Add(Frame(SignRequestMessage, AppendString(nil, "key"), AppendString(nil, loginOf("git")), []byte{0, 0, 0, 0})[4:])
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) == 0 {
			return
		}
		m, err := ReadMessage(bytes.NewReader(message), len(message))
		if err != nil || m.Type != Type(message[0]) || !bytes.Equal(m.Body, message[1:]) {
			t.Fatalf("read %v, %v", m, err)
		}
		if r, err := ParseSignRequest(m.Body); err == nil {
			again := append(AppendString(AppendString(nil, r.Key), r.Data), byte(r.Flags>>24), byte(r.Flags>>16), byte(r.Flags>>8), byte(r.Flags))
			wantSame(t, again, m.Body)
			_, _ = ParseSSHSIG(r.Data)
			if u, ok := ParseUserauth(r.Data); ok && !bytes.Contains(r.Data, []byte(u.User)) {
				t.Error("user is not in the data")
			}
		} else if !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		if e, err := ParseExtension(m.Body); err == nil {
			wantSame(t, append(AppendString(nil, e.Name), e.Contents...), m.Body)
			if b, err := ParseSessionBind(e.Contents); err == nil {
				wantSame(t, bindOf(string(b.HostKey), string(b.SessionID), string(b.Signature), e.Contents[len(e.Contents)-1]), e.Contents)
			}
		}
	})
}

func FuzzReadLength(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 11})
	f.Add([]byte{0, 4, 0, 1, 11})
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := bytes.NewReader(stream)
		length, err := ReadLength(in)
		if err != nil {
			return
		}
		if length < 1 || length > MaxMessage {
			t.Fatalf("length %d", length)
		}
		m, err := ReadMessage(in, length)
		if err == nil && len(m.Body) != length-1 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes, %v", len(m.Body), err)
		}
	})
}

func wantSame(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%x, was %x", got, want)
	}
}
