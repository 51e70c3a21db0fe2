package assemble

import (
	"fmt"
	"os/user"
	"strconv"

	"secretless/internal/broker"
	"secretless/internal/config"
)

// socket resolves the owner and group of a service's socket files.
func (b *build) socket(s *config.Service) broker.Socket {
	out := broker.Socket{Mode: s.Socket.Mode, UID: -1, GID: -1}
	if !s.Socket.Set {
		return out
	}
	var err error
	if out.UID, err = lookupID(s.Socket.Owner, "user", userID); err != nil {
		b.errorf(s.Locate("socket", "owner"), "service %q: %v", s.Name, err)
	}
	if out.GID, err = lookupID(s.Socket.Group, "group", groupID); err != nil {
		b.errorf(s.Locate("socket", "group"), "service %q: %v", s.Name, err)
	}
	return out
}

// lookupID turns a name or a number into an id; empty means -1, leave it.
func lookupID(name, what string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := lookup(name)
	if err != nil {
		return -1, fmt.Errorf("socket: no %s %q on this machine", what, name)
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("socket: %s %q has no numeric id on this platform", what, name)
	}
	return int(n), nil
}

func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
