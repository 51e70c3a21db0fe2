// Package sdnotify tells systemd how the broker is doing (sd_notify(3)): ready,
// reloading, stopping, alive. Where no service manager asked to be told, all of
// it does nothing.
package sdnotify

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sendTimeout bounds waiting for a service manager that does not read.
const sendTimeout = time.Second

// Notifier sends the messages of one process. A nil Notifier sends none. It is
// safe for concurrent use.
type Notifier struct {
	mu   sync.Mutex
	conn net.Conn
	// Interval is how often the service manager wants to hear Alive; zero if
	// it does not. It restarts a process that says nothing for twice as long.
	Interval time.Duration
}

// New reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. It returns nil where
// nobody listens. The socket is opened now, so that a later restriction of the
// process's file system is no obstacle.
func New(lookupEnv func(string) (string, bool), pid int) (*Notifier, error) {
	address, ok := lookupEnv("NOTIFY_SOCKET")
	if !ok || address == "" {
		return nil, nil
	}
	if !filepath.IsAbs(address) && !strings.HasPrefix(address, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q, want an absolute path or an abstract socket; the service manager is told nothing", address)
	}
	conn, err := net.Dial("unixgram", address)
	if err != nil {
		return nil, fmt.Errorf("opening the service manager's NOTIFY_SOCKET: %w", err)
	}
	n := &Notifier{conn: conn}
	n.Interval, err = watchdog(lookupEnv, pid)
	return n, err
}

// watchdog is half of the time after which silence counts as death.
func watchdog(lookupEnv func(string) (string, bool), pid int) (time.Duration, error) {
	text, ok := lookupEnv("WATCHDOG_USEC")
	if !ok {
		return 0, nil
	}
	if p, ok := lookupEnv("WATCHDOG_PID"); ok && p != strconv.Itoa(pid) {
		return 0, nil // meant for the process that started this one
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if limit := int64(24 * time.Hour / time.Microsecond); err != nil || usec < 2 || usec > limit {
		return 0, fmt.Errorf("WATCHDOG_USEC is %q, want a number from 2 to %d; the watchdog is not answered", text, limit)
	}
	return time.Duration(usec) * time.Microsecond / 2, nil
}

// Ready says that the process serves, and in a few words what.
func (n *Notifier) Ready(status string) error { return n.send("READY=1\nSTATUS=" + oneLine(status)) }

// Reloading says that the configuration is being read; Ready follows.
func (n *Notifier) Reloading() error {
	return n.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic().Microseconds(), 10))
}

// Stopping says that the process drains and ends.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1\nSTATUS=draining connections") }

// Alive answers the watchdog.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// Close ends it; what is sent afterwards is lost.
func (n *Notifier) Close() {
	if n != nil {
		_ = n.conn.Close()
	}
}

// send is one datagram: whole or not at all.
func (n *Notifier) send(message string) error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = n.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := n.conn.Write([]byte(message)); err != nil {
		verb, _, _ := strings.Cut(message, "=")
		return fmt.Errorf("telling the service manager %s: %w", verb, err)
	}
	return nil
}

// oneLine keeps text from becoming a message of its own.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}
