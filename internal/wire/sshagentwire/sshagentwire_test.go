package sshagentwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

func bindOf(key, id, signature string, forwarding byte) []byte {
	return append(AppendString(AppendString(AppendString(nil, key), id), signature), forwarding)
}

// loginOf is what a client signs to log in as user.
func loginOf(user string) []byte {
	out := append(AppendString(nil, "session"), userauthRequest)
	out = AppendString(AppendString(AppendString(out, user), serviceConnection), methodPublicKey)
	return AppendString(AppendString(append(out, 1), "ssh-ed25519"), "key")
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesAreThoseOfTheRFC(t *testing.T) {
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"failure":       {Frame(Failure), "00000001 05"},
		"success":       {Frame(Success), "00000001 06"},
		"no identities": {Identities(nil), "00000005 0c 00000000"},
		"an identity":   {Identities([]Identity{{[]byte("k"), "me"}}), "00000010 0c 00000001 00000001 6b 00000002 6d65"},
		"a signature":   {Signature([]byte("sg")), "00000007 0e 00000002 7367"},
		"extensions":    {Extensions("a@b"), "00000011 1d 00000005 7175657279 00000003 614062"},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.got, want) {
			t.Errorf("%s: %x, want %x", name, c.got, want)
		}
	}
}

func TestReadsRequests(t *testing.T) {
	r, err := ParseSignRequest(unhex(t, "00000001 6b 00000002 6461 00000004"))
	if err != nil || string(r.Key) != "k" || string(r.Data) != "da" || r.Flags != FlagRSASHA512 {
		t.Errorf("%+v, %v", r, err)
	}
	e, err := ParseExtension(unhex(t, "00000005 7175657279"))
	if err != nil || e.Name != Query || len(e.Contents) != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	b, err := ParseSessionBind(bindOf("key", "id", "sig", 1))
	if err != nil || string(b.HostKey) != "key" || string(b.SessionID) != "id" || string(b.Signature) != "sig" || !b.Forwarding {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestRefusesMalformedRequests(t *testing.T) {
	sign := func(b []byte) error { _, err := ParseSignRequest(b); return err }
	bind := func(b []byte) error { _, err := ParseSessionBind(b); return err }
	extension := func(b []byte) error { _, err := ParseExtension(b); return err }
	for name, err := range map[string]error{
		"sign, empty":           sign(nil),
		"sign, without flags":   sign(unhex(t, "00000001 6b 00000002 6461")),
		"sign, more behind":     sign(unhex(t, "00000001 6b 00000002 6461 00000004 00")),
		"sign, length too long": sign(unhex(t, "ffffffff 6b 00000002 6461 00000004")),
		"bind, without bool":    bind(bindOf("key", "id", "sig", 1)[:18]),
		"bind, more behind":     bind(append(bindOf("key", "id", "sig", 1), 0)),
		"extension, cut off":    extension(unhex(t, "00000005 71")),
		"extension, empty":      extension(nil),
	} {
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadLengthBounds(t *testing.T) {
	for stream, want := range map[string]error{
		"00000000":   ErrMalformed,
		"00040001":   ErrMalformed,
		"ffffffff":   ErrMalformed,
		"00040000":   nil,
		"00000001":   nil,
		"":           io.EOF,
		"0000":       io.ErrUnexpectedEOF,
		"0000000109": nil,
	} {
		if _, err := ReadLength(bytes.NewReader(unhex(t, stream))); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", stream, err, want)
		}
	}
	if _, err := ReadMessage(strings.NewReader("abc"), MaxMessage); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a message: %v", err)
	}
}

func TestMemoryGrowsWithWhatArrives(t *testing.T) {
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			_, _ = ReadMessage(strings.NewReader("abc"), MaxMessage)
		}
	})
	if got := result.AllocedBytesPerOp(); got > 16<<10 {
		t.Errorf("%d bytes are set aside for three", got)
	}
}

func TestParseUserauth(t *testing.T) {
	login := loginOf("git")
	u, ok := ParseUserauth(login)
	if !ok || u.User != "git" || string(u.SessionID) != "session" || u.Algorithm != "ssh-ed25519" || string(u.Key) != "key" || u.HostKey != nil {
		t.Errorf("%+v, %v", u, ok)
	}
	bound := AppendString(bytes.Replace(login, AppendString(nil, methodPublicKey), AppendString(nil, methodHostBound), 1), "host")
	if u, ok := ParseUserauth(bound); !ok || string(u.HostKey) != "host" || string(u.Key) != "key" {
		t.Errorf("host-bound: %+v, %v", u, ok)
	}
	for name, data := range map[string][]byte{
		"empty":            nil,
		"cut off":          login[:len(login)-1],
		"more behind":      append(bytes.Clone(login), 0),
		"other message":    bytes.Replace(login, []byte{userauthRequest}, []byte{51}, 1),
		"other service":    bytes.Replace(login, []byte(serviceConnection), []byte("ssh-connectiom"), 1),
		"other method":     bytes.Replace(login, []byte(methodPublicKey), []byte("publickex"), 1),
		"without session":  login[11-4:],
		"host not bound":   bytes.Replace(login, AppendString(nil, methodPublicKey), AppendString(nil, methodHostBound), 1),
		"only asked":       bytes.Replace(login, append([]byte(methodPublicKey), 1), append([]byte(methodPublicKey), 0), 1),
		"an SSHSIG":        append([]byte("SSHSIG"), login...),
		"empty session id": append(AppendString(nil, ""), login[11:]...),
	} {
		if u, ok := ParseUserauth(data); ok {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

func TestParseSSHSIG(t *testing.T) {
	data := AppendString(AppendString(AppendString(AppendString([]byte("SSHSIG"), "git"), ""), "sha512"), "hash")
	if namespace, ok := ParseSSHSIG(data); !ok || namespace != "git" {
		t.Errorf("%q, %v", namespace, ok)
	}
	for _, broken := range [][]byte{nil, []byte("SSHSIG"), data[1:], data[:len(data)-1], append(bytes.Clone(data), 0), loginOf("git")} {
		if _, ok := ParseSSHSIG(broken); ok {
			t.Errorf("%q is taken", broken)
		}
	}
}
