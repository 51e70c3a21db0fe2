package ssh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"secretless/internal/connector"
)

// proposes is what a client says first: its version and its proposal.
func proposes(version string, ciphers ...string) []byte {
	payload := ssh.Marshal(proposal{
		KeyExchanges: []string{"curve25519-sha256"}, HostKeys: []string{"ssh-ed25519"},
		ToServer: ciphers, ToClient: ciphers,
		Rest: append(ssh.Marshal(struct{ MACs, MACsBack, Compression, Back, Languages, LanguagesBack []string }{}), 0, 0, 0, 0, 0),
	})
	out := append([]byte(version+"\r\n"), 0, 0, 0, 0, 4)
	binary.BigEndian.PutUint32(out[len(version)+2:], uint32(1+len(payload)+4))
	return append(append(out, payload...), 0, 0, 0, 0)
}

func TestCiphersForAClient(t *testing.T) {
	const chacha, gcm256, gcm128, ctr = ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM, ssh.CipherAES128GCM, ssh.CipherAES256CTR
	all := algorithms().Ciphers
	for name, c := range map[string]struct {
		wants []string
		slow  bool
		want  []string
	}{
		"OpenSSH as it comes":                 {wants: []string{chacha, ctr, gcm128, gcm256}, want: []string{gcm256}},
		"a processor without AES":             {wants: []string{chacha, ctr, gcm128, gcm256}, slow: true, want: all},
		"ChaCha20 alone":                      {wants: []string{chacha}, want: all},
		"nothing else of the same key length": {wants: []string{chacha, gcm128, ctr}, want: all},
		"something else first":                {wants: []string{gcm128, chacha, gcm256}, want: all},
		"nothing":                             {want: all},
	} {
		p := &proposal{ToServer: c.wants, ToClient: c.wants}
		if got := ciphersFor(p, all, !c.slow); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if got := ciphersFor(nil, all, true); !slices.Equal(got, all) {
		t.Errorf("without a proposal: got %v", got)
	}
	if got := ciphersFor(&proposal{ToServer: []string{chacha, gcm256}, ToClient: []string{chacha}}, all, true); !slices.Equal(got, all) {
		t.Errorf("one direction alone: got %v", got)
	}
}

func TestProposalIsFoundHoweverItArrives(t *testing.T) {
	said := proposes("SSH-2.0-OpenSSH_9.2", "a", "b")
	for n := range len(said) {
		if found, more := findProposal(said[:n]); found != nil || !more {
			t.Fatalf("after %d of %d bytes: %v, %t", n, len(said), found, more)
		}
	}
	found, more := findProposal(append(said, "what comes then"...))
	if more || found == nil || !slices.Equal(found.ToServer, []string{"a", "b"}) || !slices.Equal(found.ToClient, found.ToServer) {
		t.Fatalf("got %+v, %t", found, more)
	}
}

func TestNothingElseIsWaitedFor(t *testing.T) {
	for name, said := range map[string][]byte{
		"another client":           []byte("SSH-2.0-libssh_0.10\r\n"),
		"no SSH":                   []byte("GET / HTTP/1.1\r\n"),
		"no end of the version":    bytes.Repeat([]byte("x"), maxVersion),
		"a packet too long":        []byte("SSH-2.0-OpenSSH_9.2\r\n\x00\x01\x00\x00\x04"),
		"more padding than packet": []byte("SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x00\x04\x04"),
		"another message":          []byte("SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x00\x06\x04\x15\x00\x00\x00\x00"),
		"a broken proposal":        []byte("SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x00\x07\x04\x14\x00\x00\x00\x00\x00"),
	} {
		if found, more := findProposal(said); found != nil || more {
			t.Errorf("%s: %v, %t", name, found, more)
		}
	}
}

func FuzzFindProposal(f *testing.F) {
	f.Add(proposes("SSH-2.0-OpenSSH_9.2", ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM))
	f.Add([]byte("SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x00\x07\x04\x14\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		found, more := findProposal(said)
		if more && (found != nil || len(said) > maxVersion+4+maxProposal) {
			t.Fatalf("more, with %d bytes", len(said))
		}
		if found != nil && !bytes.Contains(said, []byte(strings.Join(found.ToServer, ","))) {
			t.Fatalf("got %q", found.ToServer)
		}
	})
}

// The library must get to hear what greet has heard, and not say its version
// twice.
func TestGreetingIsNotSaidTwice(t *testing.T) {
	h := newHost(t)
	f := newFront(t, Config{}, h.credentials())
	conn := dial(t, f.addr())
	if _, err := conn.Write(proposes("SSH-2.0-OpenSSH_9.2", ssh.CipherAES256GCM)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(versionOpenSSH)+2+4)
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	line, length := got[:len(got)-4], binary.BigEndian.Uint32(got[len(got)-4:])
	if string(line) != versionOpenSSH+"\r\n" || length > maxProposal {
		t.Errorf("got %q", got)
	}
}

// chosen is the cipher that a client which wants these gets.
func chosen(t *testing.T, f *front, version string, wants ...string) ssh.DirectionAlgorithms {
	t.Helper()
	conn, channels, requests, err := ssh.NewClientConn(dial(t, f.addr()), "", &ssh.ClientConfig{
		Config: ssh.Config{Ciphers: wants}, ClientVersion: version, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer side{conn, channels, requests}.close()
	return conn.(ssh.AlgorithmsConnMetadata).Algorithms().Write
}

func TestClientsKeepWhatTheyInsistOn(t *testing.T) {
	h := newHost(t)
	f := newFront(t, Config{}, h.credentials())
	const chacha, gcm = ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM
	if got := chosen(t, f, "SSH-2.0-OpenSSH_9.2", chacha).Cipher; got != chacha {
		t.Errorf("ChaCha20 alone: %s", got)
	}
	if got := chosen(t, f, "SSH-2.0-Other", chacha, gcm).Cipher; got != chacha {
		t.Errorf("a client that is not waited for: %s", got)
	}
	want := chacha
	if hasFastAES() {
		want = gcm
	}
	if got := chosen(t, f, "SSH-2.0-OpenSSH_9.2", chacha, gcm).Cipher; got != want {
		t.Errorf("both: %s, want %s", got, want)
	}
}

func TestWhoDoesNotSpeakSSHCostsNoLookup(t *testing.T) {
	h := newHost(t)
	_, text := newKey(t)
	f := newFront(t, Config{}, h.credentials(credentialServerKey, text))
	if _, err := io.WriteString(dial(t, f.addr()), "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.result(); connector.KindOf(err) != connector.KindProtocol || !strings.Contains(err.Error(), "does not speak SSH") {
		t.Errorf("got %v", err)
	}
	if n := f.Lookups(); n != 0 {
		t.Errorf("%d lookups", n)
	}
}

func TestTheLibraryReadsWhatWasReadAhead(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	c := &clientConn{Conn: ours, ahead: []byte("ahead"), told: []byte("told")}
	if n, err := c.Write([]byte("told")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	go func() { _, _ = theirs.Write([]byte("then")) }()
	got := make([]byte, 9)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "aheadthen" {
		t.Fatalf("%q, %v", got, err)
	}
	_ = theirs.Close()
	if _, err := c.Write([]byte("told")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the same once more was kept back: %v", err)
	}
}
