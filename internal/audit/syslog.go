package audit

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SyslogOptions are how messages for syslog are made.
type SyslogOptions struct {
	// RFC5424 makes the header that RFC 5424 describes, in place of the one
	// that every program's syslog(3) makes and every local daemon reads.
	RFC5424 bool
	// Facility is a name of Facilities; empty means authpriv.
	Facility string
}

// Facilities are the names of syslog's facilities by their number.
func Facilities() []string {
	return []string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"ntp", "security", "console", "solaris-cron",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
}

const (
	severityWarning = 4
	severityInfo    = 6

	// sendWait bounds one message to a daemon that does not read.
	sendWait = 3 * time.Second
)

// systemSockets are where the system's daemon listens: Linux, BSD and macOS.
func systemSockets() []string { return []string{"/dev/log", "/var/run/syslog", "/var/run/log"} }

// syslog sends each line to a daemon on this machine, over its unix socket,
// datagram or stream.
type syslog struct {
	paths    []string
	facility int
	rfc5424  bool
	host     string
	conn     net.Conn // nil while the daemon is away
	framed   bool     // a stream: messages end in a newline
}

func openSyslog(paths []string, o SyslogOptions) (*syslog, error) {
	name := o.Facility
	if name == "" {
		name = "authpriv"
	}
	facility := slices.Index(Facilities(), name)
	if facility < 0 {
		return nil, fmt.Errorf("audit: syslog has no facility %q; known are %s", name, strings.Join(Facilities(), ", "))
	}
	s := &syslog{paths: paths, facility: facility, rfc5424: o.RFC5424, host: "-"}
	if host, err := os.Hostname(); err == nil && isPrintable(host) {
		s.host = host
	}
	if err := s.dial(); err != nil {
		return nil, fmt.Errorf("audit: cannot connect to syslog: %w", err)
	}
	return s, nil
}

// isPrintable says whether a name can stand in a header of RFC 5424.
func isPrintable(name string) bool {
	other := func(r rune) bool { return r <= ' ' || r > '~' }
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, other)
}

func (s *syslog) dial() error {
	var why error
	for _, path := range s.paths {
		for _, network := range []string{"unixgram", "unix"} {
			conn, err := net.DialTimeout(network, path, sendWait)
			if err == nil {
				s.conn, s.framed = conn, network == "unix"
				return nil
			}
			// The other kind of socket says that it is the other kind.
			if why == nil || isOtherKind(why) {
				why = err
			}
		}
	}
	return fmt.Errorf("nobody listens at %s: %w", strings.Join(s.paths, ", "), why)
}

func (s *syslog) write(lines []entry) (int, error) {
	for n, e := range lines {
		if err := s.send(s.message(e, time.Now())); err != nil {
			return n, err
		}
	}
	return len(lines), nil
}

// send sends one message, over a new connection where the daemon was started
// anew. A datagram is taken whole or refused, so that one which is too large is
// an error and not half an event.
func (s *syslog) send(message []byte) error {
	if s.conn != nil {
		err := s.try(message)
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || isTooLarge(err) {
			return err
		}
	}
	if err := s.dial(); err != nil {
		return err
	}
	return s.try(message)
}

func (s *syslog) try(message []byte) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(sendWait))
	_, err := s.conn.Write(message)
	if err != nil && !isTooLarge(err) {
		_ = s.Close()
	}
	return err
}

// message is the header and the line, without its newline on a datagram.
func (s *syslog) message(e entry, now time.Time) []byte {
	severity := severityInfo
	if e.urgent {
		severity = severityWarning
	}
	b := []byte{'<'}
	b = strconv.AppendInt(b, int64(s.facility*8+severity), 10)
	b = append(b, '>')
	pid := strconv.Itoa(os.Getpid())
	if s.rfc5424 {
		b = append(b, "1 "...)
		b = now.AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
		b = append(b, " "+s.host+" secretless "+pid+" audit - "...)
	} else {
		b = now.AppendFormat(b, time.Stamp)
		b = append(b, " secretless["+pid+"]: "...)
	}
	b = append(b, bytes.TrimSuffix(e.line, []byte("\n"))...)
	if s.framed {
		b = append(b, '\n')
	}
	return b
}

// Close closes the connection.
func (s *syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
