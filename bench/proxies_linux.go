package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// target is what a relay connects to, always over TCP on loopback. Its user is
// benchUser, its database benchDatabase.
type target struct {
	connector string // the broker's, for its protocol
	port      int
	password  string
	encrypted bool
	// credentials are the broker's by name, where they are not those of a
	// database.
	credentials map[string]string
	certificate string // a file with what to trust, where that is verified
	tokenPort   int    // of an OAuth2 server, where the broker needs one
}

// relay is one kind of proxy and how to run it. Every process has one target
// and listens on a port and on the unix socket that belongs to it.
type relay struct {
	name    string
	program string // path of its binary
	// logsIn says that it authenticates to the target itself, in the target's
	// protocol. Only such a relay can open TLS to it as well: databases want
	// something said in their own protocol first.
	logsIn bool
	// only, if set, is the only protocol that it speaks.
	only string
	// https says that clients speak TLS as well where the target does.
	https bool
	// tcpOnly says that it listens on no unix socket.
	tcpOnly bool
	// uncounted says that its CPU time cannot be read: it is spent by
	// processes that end with their connections.
	uncounted bool
	// prepare writes what the process needs into its directory.
	prepare func(relay, account, place, target) (launch, error)
}

// place is where one process lives and listens.
type place struct {
	dir  string
	port int
}

func (p place) socket() string { return socketPath(p.dir, p.port) }

// relays finds the installed ones.
func relays(o options) ([]relay, error) {
	all := []relay{
		{name: broker, program: o.broker, logsIn: true, prepare: prepareBroker},
		{name: haproxy, program: "haproxy", prepare: prepareHAProxy},
		{name: nginx, program: "nginx", prepare: prepareNginx},
		{name: pgbouncer, program: "pgbouncer", logsIn: true, only: "pg", prepare: preparePgBouncer},
	}
	var wanted []relay
	for _, r := range all {
		if !o.compares(r.name) {
			continue
		}
		found, err := findProgram(r.program)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; run script/setup, or leave it out with -relays", r.name, err)
		}
		r.program = found
		wanted = append(wanted, r)
	}
	return wanted, nil
}

// carries says whether the relay can be between a client and that target.
func (r relay) carries(t target) bool {
	encrypts := r.logsIn
	if t.connector == "http" { // the client does, too
		encrypts = r.https
	}
	return (r.only == "" || r.only == t.connector) && (encrypts || !t.encrypted)
}

// findProgram looks where an ordinary user's PATH does not lead, too.
func findProgram(name string) (string, error) {
	if found, err := exec.LookPath(name); err == nil {
		return filepath.Abs(found)
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// instance is a running relay.
type instance struct {
	relay
	place
	process *process
	target  target
}

// fleet starts relays in directories of their own.
type fleet struct {
	owner account
	dir   string
	count atomic.Int64
}

// spawn starts a relay without waiting for it to listen.
func (f *fleet) spawn(r relay, t target) (*instance, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	at := place{dir: filepath.Join(f.dir, fmt.Sprintf("r%d", f.count.Add(1))), port: port}
	if err := f.owner.makeDir(at.dir); err != nil {
		return nil, fmt.Errorf("the directory of %s: %w", r.name, err)
	}
	how, err := r.prepare(r, f.owner, at, t)
	if err != nil {
		return nil, fmt.Errorf("configuring %s: %w", r.name, err)
	}
	running, err := f.owner.start(at.dir, how)
	if err != nil {
		return nil, err
	}
	return &instance{relay: r, place: at, process: running, target: t}, nil
}

// start starts a relay and waits until it listens on both of its sockets.
func (f *fleet) start(ctx context.Context, r relay, t target) (*instance, error) {
	i, err := f.spawn(r, t)
	if err != nil {
		return nil, err
	}
	for _, network := range []string{"tcp", "unix"} {
		if network == "unix" && r.tcpOnly {
			continue
		}
		if err := i.process.await(ctx, 10*time.Millisecond, i.endpoint(network).dial); err != nil {
			i.stop()
			return nil, err
		}
	}
	return i, nil
}

// endpoint is where the relay's clients connect. TLS, where there is any, is
// between the relay and the target.
func (i *instance) endpoint(network string) endpoint {
	e := endpoint{
		port: i.port, user: benchUser, database: benchDatabase, jump: i.name == sshJump,
		targetPort: i.target.port, encrypted: i.target.encrypted && i.relay.https, through: i.name,
	}
	if network == "unix" {
		e.socket = i.socket()
	}
	if !i.logsIn {
		e.password = i.target.password
	}
	return e
}

func (i *instance) usage() (usage, error) { return usageOf(i.process.cmd.Process.Pid) }

// stop ends the process and removes what it left.
func (i *instance) stop() {
	i.process.stop()
	os.RemoveAll(i.dir)
}

// raiseDescriptorLimit lets this program and its children hold thousands of
// connections. The explicit call also makes the runtime pass the limit on.
func raiseDescriptorLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("the limit of open descriptors: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("raising the limit of open descriptors: %w", err)
	}
	return limit.Cur, nil
}
