package peer

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	diagLocal  = netip.MustParseAddrPort("127.0.0.1:40000")
	diagRemote = netip.MustParseAddrPort("127.0.0.1:5432")
)

// diagAnswer is a well-formed answer about diagLocal and diagRemote.
func diagAnswer(change func(msg []byte)) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+diagMessageLen)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint32(b[8:], diagSequence)
	m := b[unix.NLMSG_HDRLEN:]
	m[0], m[1] = unix.AF_INET, tcpEstablished
	id := m[diagIDInMsg:]
	binary.BigEndian.PutUint16(id, diagLocal.Port())
	binary.BigEndian.PutUint16(id[2:], diagRemote.Port())
	copy(id[diagSrc:], diagLocal.Addr().AsSlice())
	copy(id[diagDst:], diagRemote.Addr().AsSlice())
	binary.NativeEndian.PutUint64(id[diagCookie:], 77)
	binary.NativeEndian.PutUint32(m[diagUID:], 1000)
	binary.NativeEndian.PutUint32(m[diagInode:], 4711)
	if change != nil {
		change(m)
	}
	return b
}

func diagErrno(code int32) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+4)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint32(b[8:], diagSequence)
	binary.NativeEndian.PutUint32(b[16:], uint32(code))
	return b
}

func TestParseDiag(t *testing.T) {
	good := diagAnswer(nil)
	mapped := diagAnswer(func(m []byte) {
		m[0] = unix.AF_INET6
		src, dst := diagLocal.Addr().As16(), diagRemote.Addr().As16()
		copy(m[diagIDInMsg+diagSrc:], src[:])
		copy(m[diagIDInMsg+diagDst:], dst[:])
	})
	gone := errClientGone.Error()
	for _, test := range []struct {
		name   string
		answer []byte
		err    string
	}{
		{"good", good, ""},
		{"mapped", mapped, ""},
		{"trailing bytes", append(diagAnswer(nil), 1, 2, 3), ""},
		{"listener", diagAnswer(func(m []byte) { m[1] = 10 }), gone},
		{"time-wait", diagAnswer(func(m []byte) { m[1] = 6 }), gone},
		{"orphan", diagAnswer(func(m []byte) { clear(m[diagInode:]) }), gone},
		{"another port", diagAnswer(func(m []byte) { m[diagIDInMsg]++ }), gone},
		{"another address", diagAnswer(func(m []byte) { m[diagIDInMsg+diagDst]++ }), gone},
		{"no such socket", diagErrno(-int32(unix.ENOENT)), gone},
		{"forbidden", diagErrno(-int32(unix.EPERM)), "operation not permitted"},
		{"error without code", diagErrno(0), "error answer with code 0"},
		{"positive error", diagErrno(2), "error answer with code -2"},
		{"empty", nil, "too short"},
		{"cut", good[:40], "40 bytes says that it has 88"},
		{"address family", diagAnswer(func(m []byte) { m[0] = unix.AF_UNIX }), "address family 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := parseDiag(test.answer, diagLocal, diagRemote)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || s != (socket{}) {
					t.Errorf("parseDiag is %+v, %v, want %q", s, err, test.err)
				}
				return
			}
			if want := (socket{uid: 1000, inode: 4711, cookie: 77}); err != nil || s != want {
				t.Errorf("parseDiag is %+v, %v, want %+v", s, err, want)
			}
		})
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(diagAnswer(nil))
	f.Add(diagErrno(-int32(unix.ENOENT)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseDiag(b, diagLocal, diagRemote)
		if err == nil && s.inode == 0 {
			t.Error("a socket without an inode passed")
		}
		if err != nil && s != (socket{}) {
			t.Errorf("both a socket and the error %v", err)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add("State:\tS (sleeping)\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapPrm:\t0f\n")
	f.Add("Uid:\n")
	f.Fuzz(func(t *testing.T, text string) {
		st, err := parseStatus(strings.NewReader(text))
		if err == nil && (len(st.uids) != 4 || len(st.gids) != 4) {
			t.Errorf("status %+v passed", st)
		}
	})
}

func FuzzSocketInode(f *testing.F) {
	f.Add([]byte("socket:[4711]"))
	f.Add([]byte("socket:[]"))
	f.Fuzz(func(t *testing.T, link []byte) {
		inode, ok := socketInode(link)
		digits := strings.TrimLeft(strings.TrimSuffix(strings.TrimPrefix(string(link), "socket:["), "]"), "0")
		if ok && strings.TrimLeft(strconv.FormatUint(inode, 10), "0") != digits {
			t.Errorf("inode %d of %q", inode, link)
		}
	})
}
