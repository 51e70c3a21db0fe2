//go:build unix

package audit

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// socketPath is short enough for a unix socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "log")
}

// daemon is a syslog daemon that reads datagrams.
func daemon(t *testing.T, path string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func receive(t *testing.T, c net.PacketConn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 64<<10)
	n, _, err := c.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func openTo(t *testing.T, path string, o Options) Sink {
	t.Helper()
	s, err := Open([]string{"syslog://" + path}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSyslogFormats(t *testing.T) {
	for name, c := range map[string]struct {
		o    SyslogOptions
		e    Event
		want string
	}{
		"local":    {SyslogOptions{}, sample, `^<86>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d secretless\[%d\]: (\{.*\})$`},
		"refused":  {SyslogOptions{}, variant(func(e *Event) { e.Type, e.Reason = Refused, "peer" }), `^<84>[A-Z].* secretless\[%d\]: (\{.*\})$`},
		"facility": {SyslogOptions{Facility: "local3"}, sample, `^<158>[A-Z].* secretless\[%d\]: (\{.*\})$`},
		"RFC 5424": {SyslogOptions{RFC5424: true}, sample, `^<86>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d) [!-~]+ secretless %d audit - (\{.*\})$`},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			d := daemon(t, path)
			if err := openTo(t, path, Options{Required: true, Syslog: c.o}).Require(t.Context(), c.e); err != nil {
				t.Fatal(err)
			}
			got := receive(t, d)
			m := regexp.MustCompile(fmt.Sprintf(c.want, os.Getpid())).FindStringSubmatch(got)
			if m == nil || plain(t, m[1]+"\n") != string(c.e.Line()) {
				t.Errorf("got %q", got)
			}
		})
	}
	if _, err := openSyslog([]string{"/nowhere"}, SyslogOptions{Facility: "auht"}); err == nil || !strings.Contains(err.Error(), "authpriv") {
		t.Errorf("%v", err)
	}
}

// A daemon that is started anew gets the next event, and one while it is away
// fails and is marked.
func TestSyslogIsStartedAnew(t *testing.T) {
	path := socketPath(t)
	first := daemon(t, path)
	s := openTo(t, path, Options{Required: true})
	if err := s.Require(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	receive(t, first)

	_ = first.Close()
	_ = os.Remove(path)
	second := daemon(t, path)
	if err := s.Require(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, second); !strings.Contains(got, `"seq":2}`) {
		t.Errorf("got %q", got)
	}

	_ = second.Close()
	_ = os.Remove(path)
	if err := s.Require(t.Context(), sample); err == nil {
		t.Error("nobody was there to take it")
	}
	third := daemon(t, path)
	if err := s.Require(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, third); !strings.Contains(got, `"event":"lost","count":1`) || !strings.HasPrefix(got, "<84>") {
		t.Errorf("got %q", got)
	}
	if got := receive(t, third); !strings.Contains(got, `"seq":4}`) {
		t.Errorf("got %q", got)
	}
}

func TestSyslogStream(t *testing.T) {
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := openTo(t, path, Options{Required: true})
	for range 2 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Require(t.Context(), sample); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(got, "<86>") || !strings.HasSuffix(got, "}\n") {
			t.Errorf("got %q, %v", got, err)
		}
		_ = conn.Close()
		s.Record(sample) // notices that the daemon has gone, and connects again
	}
}

// A datagram is taken whole or not at all: what the system refuses is an event
// that was lost, and counted.
func TestSyslogDatagramTooLarge(t *testing.T) {
	path := socketPath(t)
	d := daemon(t, path)
	out, err := openSyslog([]string{path}, SyslogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.conn.(*net.UnixConn).SetWriteBuffer(4096); err != nil {
		t.Fatal(err)
	}
	large := entry{line: []byte(strings.Repeat("x", 1<<20) + "\n")}
	n, err := out.write([]entry{{line: []byte("a\n")}, large, {line: []byte("b\n")}})
	if n != 1 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%d written, %v", n, err)
	}
	if n, err := out.write([]entry{{line: []byte("b\n")}}); n != 1 || err != nil {
		t.Errorf("%d written, %v", n, err)
	}
	for _, want := range []string{": a", ": b"} {
		if got := receive(t, d); !strings.HasSuffix(got, want) {
			t.Errorf("got %q", got)
		}
	}
}

// A daemon that does not read holds up nobody for long.
func TestSyslogThatDoesNotRead(t *testing.T) {
	path := socketPath(t)
	daemon(t, path)
	out, err := openSyslog([]string{path}, SyslogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	lines := make([]entry, 100_000)
	for n := range lines {
		lines[n] = entry{line: []byte("x\n")}
	}
	if n, err := out.write(lines); n == 0 || n == len(lines) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d written, %v", n, err)
	}
}
