package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Sections of the report.
const (
	scpSection        = "SSH: scp of 200 MiB"
	sshSessionSection = "SSH: a new connection for every `ssh host true`"
)

const scpBytes = 200 << 20

// sshLoads are over TCP alone: ssh knows no unix sockets.
func sshLoads(b *bench) []load {
	var all []load
	add := func(section, name string, u unit, quick bool, run func(*sshServer, context.Context, endpoint) (outcome, error)) {
		l := newLoad(openSSH(), section, name, way{network: "tcp"}, u)
		l.quick = quick
		if b.options.compares(sshJump) {
			l.relays = []relay{jumpHost()}
		}
		l.run = func(ctx context.Context, e endpoint) (outcome, error) {
			running, err := b.server(ctx, openSSH())
			if err != nil {
				return outcome{}, err
			}
			return run(running.(*sshServer), ctx, e)
		}
		all = append(all, l)
	}
	for _, upload := range []bool{true, false} {
		add(scpSection, scpName(upload), volume(), true, func(s *sshServer, ctx context.Context, e endpoint) (outcome, error) {
			return s.scp(ctx, e, upload)
		})
	}
	for _, clients := range []int{1, 8} {
		add(sshSessionSection, sshSessionName(clients), transactions(), clients == 8, func(s *sshServer, ctx context.Context, e endpoint) (outcome, error) {
			return s.sessions(ctx, e, clients, time.Duration(b.options.seconds)*time.Second)
		})
	}
	return all
}

// options are those of ssh and scp for an endpoint. A client without a key is
// one for whom the relay logs in.
func (s *sshServer) options(e endpoint) []string {
	dir := filepath.Dir(s.process.log)
	all := []string{
		"-F", "none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none", "-o", "IdentitiesOnly=yes", "-o", "User=" + s.user,
	}
	if e.password == "" {
		all = append(all, "-o", "IdentityFile=none")
	} else {
		all = append(all, "-o", "IdentityFile="+filepath.Join(dir, "key"))
	}
	return all
}

// reach adds the way to the endpoint: through a jump host, ssh is its own
// client once more.
func (s *sshServer) reach(e endpoint) []string {
	all := s.options(e)
	if !e.jump {
		return append(all, "-o", "Port="+strconv.Itoa(e.port))
	}
	command := "ssh"
	for _, option := range s.options(e) {
		command += " " + option
	}
	command += fmt.Sprintf(" -o Port=%d -W %s:%d %s", e.port, loopback, s.port, loopback)
	return append(all, "-o", "Port="+strconv.Itoa(s.port), "-o", "ProxyCommand="+command)
}

func (s *sshServer) ssh(ctx context.Context, e endpoint, command string) error {
	_, err := runClient(ctx, 0, nil, "ssh", append(s.reach(e), loopback, command)...)
	return err
}

// scp copies the file from memory to memory.
func (s *sshServer) scp(ctx context.Context, e endpoint, upload bool) (outcome, error) {
	from, to := s.file("source"), s.file("copy")
	if upload {
		to = loopback + ":" + to
	} else {
		from, to = loopback+":"+from, s.file("mine")
	}
	began := time.Now()
	if _, err := runClient(ctx, 120, nil, "scp", append(s.reach(e), "-q", from, to)...); err != nil {
		return outcome{}, err
	}
	done := outcome{work: scpBytes, duration: time.Since(began)}
	return done, errors.Join(os.RemoveAll(s.file("copy")), os.RemoveAll(s.file("mine")))
}

// sessions runs ssh again and again, a process for each.
func (s *sshServer) sessions(ctx context.Context, e endpoint, clients int, duration time.Duration) (outcome, error) {
	var (
		owned    sync.WaitGroup
		count    atomic.Int64
		mu       sync.Mutex
		failures []error
	)
	began := time.Now()
	until := began.Add(duration)
	for range clients {
		owned.Go(func() {
			for time.Now().Before(until) {
				if err := s.ssh(ctx, e, "true"); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failures = append(failures, err)
					return
				}
				count.Add(1)
			}
		})
	}
	owned.Wait()
	return outcome{work: float64(count.Load()), duration: time.Since(began)}, errors.Join(failures...)
}
