package peer

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
)

// Identity is the process that opened a connection, as the kernel tells it.
// The zero Identity is an unknown peer.
type Identity struct {
	// Known is false where the platform or the kind of socket cannot tell;
	// the other fields are then zero.
	Known bool
	UID   uint32
	// GID means something only where PID is not zero: the kernel does not
	// tell the group of a TCP socket, it is that of the process.
	GID uint32
	// PID is zero where it could not be found out.
	PID int
	// Executable is the path of the running program, empty if unknown.
	Executable string
	// Container is the id or name of the container that the process runs in,
	// Pod the uid of its Kubernetes pod: hints, which whoever may make control
	// groups can forge. Empty if unknown or none.
	Container, Pod string
}

// Identify tells who opened conn, an accepted connection, for logs and audit.
// It is cheap enough for every connection: a unix socket yields everything, a
// TCP connection from loopback only the user, because finding the process
// means a walk over all of /proc. Anything else is an unknown peer without an
// error. An error means that the kernel could have told and did not, most
// often because the client has gone. Safe for concurrent use; reads nothing
// from conn.
func Identify(conn net.Conn) (Identity, error) { return identify(conn) }

// Glance tells of conn's client only what one question to the kernel yields:
// user, group and process of a unix socket. Any other client is unknown, and
// can be asked about with Find. For lists that people look at, not for records:
// the process may have ended, and its number be another's by now. Otherwise as
// Identify.
func Glance(conn net.Conn) Identity { return glance(conn) }

// Find tells which user has the TCP socket that client is the address of, the
// other end being server, where both are of this machine; otherwise the peer is
// unknown without an error.
func Find(client, server netip.AddrPort) (Identity, error) {
	return find(unmap(client), unmap(server))
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// String is the identity for an error text: "uid 1000 pid 4711 executable
// /usr/bin/psql" as far as known.
func (id Identity) String() string {
	if !id.Known {
		return "unknown process"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "uid %d", id.UID)
	if id.PID != 0 {
		fmt.Fprintf(&b, " gid %d pid %d", id.GID, id.PID)
	}
	if id.Executable != "" {
		fmt.Fprintf(&b, " executable %q", id.Executable)
	}
	return b.String()
}

// LogValue is a group of the attributes that are known.
func (id Identity) LogValue() slog.Value {
	if !id.Known {
		return slog.GroupValue(slog.Bool("known", false))
	}
	attrs := []slog.Attr{slog.Uint64("uid", uint64(id.UID))}
	if id.PID != 0 {
		attrs = append(attrs, slog.Uint64("gid", uint64(id.GID)), slog.Int("pid", id.PID))
	}
	if id.Executable != "" {
		attrs = append(attrs, slog.String("executable", id.Executable))
	}
	if id.Container != "" {
		attrs = append(attrs, slog.String("container", id.Container))
	}
	if id.Pod != "" {
		attrs = append(attrs, slog.String("pod", id.Pod))
	}
	return slog.GroupValue(attrs...)
}
