package mysqlwire

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func FuzzHandshakeV10(f *testing.F) {
	f.Add(payload(capturedGreeting))
	f.Add([]byte("\n5.7.44\x00\x01\x00\x00\x0012345678\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ParseHandshakeV10(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.As(err, new(VersionError)) {
				t.Fatal(err)
			}
			return
		}
		if len(h.Scramble) > 255 || len(h.Scramble) < scrambleHead {
			t.Fatalf("scramble of %d bytes", len(h.Scramble))
		}
		if len(h.Scramble) < ScrambleSize || len(h.Scramble) == 255 {
			return // Append writes whole ones, and a NUL behind them
		}
		again, err := ParseHandshakeV10(h.Append(nil)[HeaderSize:])
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzHandshakeResponse41(f *testing.F) {
	f.Add(payload(capturedResponse))
	f.Add(HandshakeResponse41{Capabilities: ClientProtocol41 | ClientSSL}.AppendSSLRequest(nil, 1)[HeaderSize:])
	f.Add([]byte("\x05\xa4\x00\x00\x01old\x00pass"))
	f.Fuzz(func(t *testing.T, in []byte) {
		IsSSLRequest(in)
		r, err := ParseHandshakeResponse41(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrHandshakeResponse320) {
				t.Fatal(err)
			}
			return
		}
		r.Capabilities |= ClientPluginAuthLenencClientData
		out, err := r.Append(nil, 1)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		again, err := ParseHandshakeResponse41(out[HeaderSize:])
		if err != nil || !bytes.Equal(r.AuthResponse, again.AuthResponse) || !bytes.Equal(r.Attributes, again.Attributes) {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
		r.AuthResponse, r.Attributes, again.AuthResponse, again.Attributes = nil, nil, nil, nil
		if !reflect.DeepEqual(again, r) || len(out) > len(in)+64 {
			t.Fatalf("%+v became %+v", r, again)
		}
	})
}

func FuzzAuthPackets(f *testing.F) {
	f.Add(payload(capturedSwitch))
	f.Add(payload(capturedOK))
	f.Add(payload(capturedERR))
	f.Add([]byte{headerAuthMoreData})
	f.Add([]byte{headerAuthSwitch})
	f.Fuzz(func(t *testing.T, in []byte) {
		switch KindOf(in) {
		case KindAuthSwitch:
			if a, err := ParseAuthSwitchRequest(in); err == nil && !bytes.Equal(a.Append(nil, 0)[HeaderSize:], in) {
				t.Fatalf("%q became %+v", in, a)
			}
		case KindAuthMoreData:
			if got := AppendAuthMoreData(nil, 0, AuthMoreData(in)...); !bytes.Equal(got[HeaderSize:], in) {
				t.Fatalf("%q became %q", in, got)
			}
		case KindERR:
			if e, err := ParseERR(in); err == nil && !bytes.Equal(e.Append(nil, 0)[HeaderSize:], in) {
				t.Fatalf("%q became %+v", in, e)
			}
		case KindOK:
			if ok, err := ParseOK(in); err == nil {
				if again, err := ParseOK(ok.Append(nil, 0)[HeaderSize:]); err != nil || again != ok {
					t.Fatalf("%+v became %+v, %v", ok, again, err)
				}
			}
		}
	})
}
