package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// load is one thing that is measured, the same for every contender.
type load struct {
	comparison
	way
	kind  kind // of its target
	quick bool // part of a quick run
	// relays are compared beside those that every load has.
	relays []relay
	alone  bool // there are no others than relays
	run    func(context.Context, endpoint) (outcome, error)
}

// way is how a load's bytes travel.
type way struct {
	network   string // of the client: tcp or unix
	encrypted bool   // TLS between the relay and the target
}

func newLoad(k kind, section, what string, w way, u unit) load {
	return load{
		comparison: comparison{section: section, name: loadName(what, w.network, w.encrypted), unit: u},
		way:        w, kind: k,
	}
}

// outcome is how much work a load did in how long: transactions, or bytes.
type outcome struct {
	work     float64
	duration time.Duration
	rate     float64 // work a second; 0 to have it computed from the others
	latency  latency // the zero value where it is not what is asked
}

// perSecond is the work done a second.
func (o outcome) perSecond() float64 {
	if o.rate > 0 {
		return o.rate
	}
	return o.work / o.duration.Seconds()
}

// runClient runs a program that generates load for that many seconds, and
// returns what it printed.
func runClient(ctx context.Context, seconds int, env []string, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds+30)*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(bareEnvironment(), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var output, complaint bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaint
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %.300s", filepath.Base(program), err, complaint.String())
	}
	return output.Bytes(), nil
}
