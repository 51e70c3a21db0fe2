package peer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func identify(conn net.Conn) (Identity, error) {
	if isUnix(conn) {
		peer, err := askUnix(conn)
		if err != nil {
			return Identity{}, err
		}
		defer peer.close()
		return peer.identity(), nil
	}
	client, server, ok := tcpEnds(conn)
	if !ok {
		return Identity{}, nil
	}
	return find(client, server)
}

func find(client, server netip.AddrPort) (Identity, error) {
	if !client.Addr().IsLoopback() {
		return Identity{}, nil
	}
	s, err := findSocket(client, server)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Known: true, UID: s.uid}, nil
}

func glance(conn net.Conn) (id Identity) {
	if !isUnix(conn) {
		return id
	}
	_ = control(conn, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			id = Identity{Known: true, UID: cred.Uid, GID: cred.Gid, PID: int(cred.Pid)}
		}
		return err
	})
	return id
}

// identity is all that is known; a program that cannot be seen is left out.
func (p unixPeer) identity() Identity {
	id := Identity{Known: true, UID: p.cred.Uid, GID: p.cred.Gid, PID: int(p.cred.Pid)}
	if proc, err := p.process(); err == nil {
		defer proc.close()
		id.Executable, _, _ = proc.executable()
		id.Container, id.Pod = proc.container()
	}
	return id
}

// check returns a reason to refuse, empty to let in.
func (p *Policy) check(conn net.Conn) (Identity, string) {
	if isUnix(conn) {
		return p.checkUnix(conn)
	}
	client, server, ok := tcpEnds(conn)
	switch {
	case !ok:
		return Identity{}, fmt.Sprintf("the process behind a connection from %v cannot be told", conn.RemoteAddr())
	case !client.Addr().IsLoopback():
		return Identity{}, fmt.Sprintf("the client %v is not on loopback, so it cannot be told which process it is", client)
	}
	return p.checkTCP(client, server)
}

func (p *Policy) checkUnix(conn net.Conn) (Identity, string) {
	peer, err := askUnix(conn)
	if err != nil {
		return Identity{}, err.Error()
	}
	defer peer.close()
	id := peer.identity()
	if p.byAccount() && !p.users[id.UID] && !p.groups[id.GID] {
		gids, err := peerGroups(conn)
		if err != nil {
			return id, err.Error()
		}
		if !p.inGroups(gids) {
			return id, p.notAllowed()
		}
	}
	if len(p.executables) == 0 {
		return id, ""
	}
	proc, err := peer.process()
	if err != nil {
		return id, "its executable cannot be told: " + err.Error()
	}
	defer proc.close()
	return p.checkExecutable(id, proc)
}

func (p *Policy) checkTCP(client, server netip.AddrPort) (Identity, string) {
	s, err := findSocket(client, server)
	if err != nil {
		return Identity{}, err.Error()
	}
	id := Identity{Known: true, UID: s.uid}
	byGroup := p.byAccount() && !p.users[s.uid]
	switch {
	case byGroup && len(p.groups) == 0:
		return id, p.notAllowed()
	case !byGroup && len(p.executables) == 0:
		return id, ""
	}
	id, reason := p.checkHolders(id, s, byGroup)
	if reason != "" {
		return id, reason
	}
	// The inode was the client's before the walk. If its socket is the same
	// still, it was the client's all along.
	again, err := findSocket(client, server)
	if err != nil {
		return id, err.Error()
	}
	if again != s {
		return id, "the client's socket changed hands during the check"
	}
	return id, ""
}

// checkHolders demands that every process that holds s may connect, because
// any of them can speak on it.
func (p *Policy) checkHolders(id Identity, s socket, byGroup bool) (Identity, string) {
	found, err := p.scan.find(s.inode)
	if err != nil {
		return id, "the process that holds the client's socket cannot be found: " + err.Error()
	}
	defer found.close()
	if reason := found.doubt(s.uid); reason != "" {
		return id, reason
	}
	for _, proc := range found.processes {
		var reason string
		id, reason = p.checkHolder(id, proc, byGroup)
		if reason == "" && !proc.hasSocket(s.inode) {
			reason = "the process closed the socket, or ended, during the check"
		}
		if reason != "" {
			return id, reason
		}
	}
	return id, ""
}

// doubt is why the processes found may not be all that matter.
func (h holders) doubt(uid uint32) string {
	switch {
	case h.tooMany:
		return fmt.Sprintf("more than %d processes hold the client's socket", maxHolders)
	case len(h.processes) == 0 && len(h.unseen) > 0:
		return fmt.Sprintf("no process that the broker may inspect holds the client's socket and %d may not be inspected: run the broker as root or give it CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, or use a unix socket", len(h.unseen))
	case len(h.processes) == 0:
		return "no process visible to the broker holds the client's socket: the client has gone, or runs in another pid namespace (another container), or /proc is mounted with hidepid"
	}
	for _, u := range h.unseen {
		if u.mayHold(uid) {
			return fmt.Sprintf("process %d of the same user may hold the client's socket too and may not be inspected: run the broker as root or give it CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, or use a unix socket", u.pid)
		}
	}
	return ""
}

// checkHolder judges one process that holds the socket. What counts are its
// real group and its supplementary ones: a set-group-ID program gets its
// effective group even when a stranger starts it with a socket of his own.
func (p *Policy) checkHolder(id Identity, proc *process, byGroup bool) (Identity, string) {
	id.PID = proc.pid
	st, err := proc.status()
	if err != nil {
		return id, "its groups cannot be told: " + err.Error()
	}
	id.GID = st.gids[0]
	id.Executable, _, _ = proc.executable()
	id.Container, id.Pod = proc.container()
	if byGroup && !p.groups[id.GID] && !p.inGroups(st.groups) {
		return id, p.notAllowed()
	}
	if len(p.executables) == 0 {
		return id, ""
	}
	return p.checkExecutable(id, proc)
}

// checkExecutable compares the running file with those configured by device
// and inode: a path means different files in different mount namespaces.
func (p *Policy) checkExecutable(id Identity, proc *process) (Identity, string) {
	path, running, err := proc.executable()
	if err != nil {
		return id, "its executable cannot be told: " + err.Error()
	}
	id.Executable = path
	var broken []string
	for _, allowed := range p.executables {
		file, err := statFile(allowed)
		if err != nil {
			broken = append(broken, err.Error())
			continue
		}
		if file == running {
			return id, ""
		}
	}
	return id, p.notExecutable(path, broken)
}

func statFile(path string) (fileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, errors.New("stat " + path + ": no device and inode")
	}
	return fileID{uint64(st.Dev), st.Ino}, nil
}

// notExecutable is the reason for a program that is not listed, or looks as if
// it were.
func (p *Policy) notExecutable(path string, broken []string) string {
	reason := "the executable is not in allow.executables"
	if was, deleted := strings.CutSuffix(path, " (deleted)"); deleted {
		reason = fmt.Sprintf("the executable was deleted or replaced (%s) since the program started; restart the program", was)
	}
	for _, allowed := range p.executables {
		if allowed == path {
			reason = "the executable is another file than the one at that path in allow.executables (another mount namespace, such as a container's)"
		}
	}
	if len(broken) > 0 {
		reason += " (" + strings.Join(broken, "; ") + ")"
	}
	return reason
}
