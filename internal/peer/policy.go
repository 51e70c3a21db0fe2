package peer

import (
	"errors"
	"net"
	"slices"
)

// Allow is who may connect, as configured.
type Allow struct {
	Users       []string // names or numeric ids
	Groups      []string // names or numeric ids; supplementary groups count
	Executables []string // absolute paths
}

// Policy is a compiled Allow. It is safe for concurrent use.
//
// A process may connect if it is one of the users or in one of the groups
// (where either is listed), and runs one of the executables (where they are
// listed).
type Policy struct {
	users       map[uint32]bool
	groups      map[uint32]bool
	executables []string
	scan        scanner
}

// NewPolicy resolves the names in a. The ids stay as they were at that time: a
// user or group renumbered later needs a reload. Executables need not exist
// yet, they are looked at on every check. The error joins an *EntryError for
// everything that is wrong.
func NewPolicy(a Allow) (*Policy, error) {
	if len(a.Users)+len(a.Groups)+len(a.Executables) == 0 {
		return nil, &EntryError{Reason: "lists nobody; list users, groups or executables, or leave allow out to let in everyone who reaches the address"}
	}
	users, userErrs := resolve("users", "user", a.Users, lookupUser)
	groups, groupErrs := resolve("groups", "group", a.Groups, lookupGroup)
	if errs := slices.Concat(userErrs, groupErrs, checkExecutables(a.Executables)); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Policy{users: users, groups: groups, executables: slices.Clone(a.Executables)}, nil
}

// Check decides whether the process behind conn, an accepted connection, may
// connect. The Identity is as much as the decision needed to find out. The
// error is always a *Refused. Safe for concurrent use; reads nothing from
// conn.
//
// A unix socket, and TCP with users alone, cost microseconds. TCP with groups
// or executables costs a walk over the descriptors of all processes, shared
// by the connections that wait for one and limited in time and number.
func (p *Policy) Check(conn net.Conn) (Identity, error) {
	id, reason := p.check(conn)
	if reason != "" {
		return id, &Refused{Identity: id, Reason: reason}
	}
	return id, nil
}

// Supported returns nil where Check can tell who connects: on Linux, unix
// sockets and TCP addresses that are loopback or a name for nothing else. Any
// other listener must not be opened for a service with a Policy; the error is
// then an *Unsupported. For a socket that was passed to the process ask with
// the network and address that the listener reports. It may take as long as
// resolving a name, at most five seconds.
func Supported(network, address string) error {
	if reason := unsupported(network, address); reason != "" {
		return &Unsupported{Network: network, Address: address, Reason: reason}
	}
	return nil
}

// byAccount reports whether users or groups are restricted at all.
func (p *Policy) byAccount() bool { return len(p.users)+len(p.groups) > 0 }

// inGroups reports whether any of gids is allowed.
func (p *Policy) inGroups(gids []uint32) bool {
	for _, gid := range gids {
		if p.groups[gid] {
			return true
		}
	}
	return false
}

// notAllowed is the reason for a user or group that is not listed.
func (p *Policy) notAllowed() string {
	switch {
	case len(p.groups) == 0:
		return "the user is not in allow.users"
	case len(p.users) == 0:
		return "the process is in none of allow.groups"
	}
	return "the user is not in allow.users and the process is in none of allow.groups"
}
