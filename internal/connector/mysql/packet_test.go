package mysql

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"secretless/internal/connector"
	"secretless/internal/secret"
	"secretless/internal/wire/mysqlwire"
	"secretless/internal/wire/readahead"
)

func TestNextPacketBounds(t *testing.T) {
	largest := mysqlwire.AppendPacket(nil, 9, bytes.Repeat([]byte("x"), mysqlwire.MaxPayload))
	in := readahead.New(bytes.NewReader(append(largest, 1, 0, 0, 10, 'y', 'z')))
	if sequence, got, err := nextPacket(in); err != nil || sequence != 9 || len(got) != mysqlwire.MaxPayload {
		t.Fatalf("%d, %d bytes, %v", sequence, len(got), err)
	}
	if sequence, got, err := nextPacket(in); err != nil || sequence != 10 || string(got) != "y" {
		t.Fatalf("%d, %q, %v", sequence, got, err)
	}
	if got := string(in.Rest()); got != "z" {
		t.Errorf("%q is left", got)
	}
	if _, _, err := nextPacket(in); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if _, _, err := nextPacket(readahead.New(strings.NewReader("\x01\x00\x02\x00"))); !errors.As(err, new(mysqlwire.LengthError)) {
		t.Error(err)
	}
	if _, _, err := nextPacket(readahead.New(strings.NewReader(""))); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// Slow or fast, the same packets come out, and nothing is lost behind them.
func FuzzNextPacket(f *testing.F) {
	f.Add(append(greeted(nil), accessDenied().Append(nil, 2)...))
	f.Add([]byte("\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		src := bytes.NewReader(in)
		fast, slow := readahead.New(src), readahead.New(iotest.OneByteReader(bytes.NewReader(in)))
		for at := 0; ; {
			sequence, got, err := nextPacket(fast)
			sequenceSlow, gotSlow, errSlow := nextPacket(slow)
			if (err == nil) != (errSlow == nil) || sequence != sequenceSlow || !bytes.Equal(got, gotSlow) {
				t.Fatalf("%q, %v; slow %q, %v", got, err, gotSlow, errSlow)
			}
			if err != nil {
				rest, _ := io.ReadAll(src)
				if all := append(fast.Rest(), rest...); !bytes.Equal(all, in[at:]) {
					t.Fatalf("%q is left of %q", all, in[at:])
				}
				return
			}
			at += mysqlwire.HeaderSize + len(got)
		}
	})
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

// What is sent to a target may be a password, and does not stay in memory;
// neither does a client's.
func TestPacketsAreWiped(t *testing.T) {
	conn := &keeper{}
	l := &login{conn: conn}
	a := &authenticator{login: l}
	l.settings.password = secret.Copy(sesame)
	if err := a.send(a.cleartext()); err != nil {
		t.Fatal(err)
	}
	if len(conn.kept) != 1 || !bytes.Equal(conn.kept[0], make([]byte, mysqlwire.HeaderSize+len(sesame)+1)) {
		t.Errorf("kept %q", conn.kept)
	}
	r := plainResponse()
	r.AuthResponse = []byte(sesame)
	own := &scripted{says: bytes.NewReader(r.packet(1))}
	c := &client{session: &connector.Session{Client: own}, in: readahead.New(own)}
	var none learned
	if err := c.greet(none.greeting(Config{})); err != nil {
		t.Fatal(err)
	}
	if got := c.response.AuthResponse; !bytes.Equal(got, make([]byte, len(sesame))) {
		t.Errorf("the client's answer is kept: %q", got)
	}
}
