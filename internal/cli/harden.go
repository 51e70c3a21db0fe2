package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"secretless/internal/assemble"
	"secretless/internal/config"
	"secretless/internal/harden"
)

// hardeningVariable is --hardening where the command line is not at hand.
const hardeningVariable = "SECRETLESS_HARDENING"

// hide keeps others from looking into the process from the start, unless
// hardening is switched off from outside.
func (o *serveOptions) hide(env Env, log *slog.Logger) error {
	if o.hardening == "" {
		o.hardening, _ = env.LookupEnv(hardeningVariable)
	}
	if !slices.Contains([]string{"", string(harden.Default), string(harden.Strict), string(harden.Off)}, o.hardening) {
		return usage(fmt.Errorf("hardening %q is not known: write default, strict or off (--hardening, or $%s)", o.hardening, hardeningVariable))
	}
	if !env.Hardens || o.hardening == string(harden.Off) {
		return nil
	}
	var err error
	if o.confined.reveal, err = harden.Conceal(); err != nil {
		log.Warn("others of the same user can look into this process", "error", err)
	}
	return nil
}

// level is what the command line says, or the file.
func (o *serveOptions) level(file *config.File) harden.Level {
	if o.hardening != "" {
		return harden.Level(o.hardening)
	}
	return harden.Level(file.Hardening)
}

// harden gives up what the configuration does not need, before anything is
// opened that others can reach.
func (p *process) harden(file *config.File, built *assemble.Built) error {
	if !p.env.Hardens {
		return nil
	}
	needs := p.needs(file, built)
	if before := p.options.confined; before.state != nil {
		return before.admits(p, needs)
	}
	p.makeState(file, needs)
	level := p.options.level(file)
	state, err := harden.Apply(level, needs)
	if reveal := p.options.confined.reveal; err == nil && level == harden.Off && reveal != nil {
		err = reveal()
	}
	if err != nil {
		return err
	}
	p.hardening = state
	p.options.confined.state = state
	p.log.Info("hardening", "in_force", state)
	return nil
}

// confinement is what an attempt to start has given up. It stays so for the next
// one, of a broker that waits for a configuration that works.
type confinement struct {
	state *harden.State
	// reveal undoes what hide has done, nil where it has not.
	reveal func() error
}

// errConfined ends a broker that only a new process can start.
var errConfined = errors.New("an earlier configuration has bound this process to less; it ends, to be started again")

func (c *confinement) admits(p *process, n harden.Needs) error {
	if err := c.state.Permits(n); err != nil {
		return fmt.Errorf("%w: %w", errConfined, err)
	}
	p.hardening = c.state
	return nil
}

// permitted says what of a new configuration is impossible since the start.
func (p *process) permitted(file *config.File, built *assemble.Built) error {
	if !p.env.Hardens {
		return nil
	}
	return p.hardening.Permits(p.needs(file, built))
}

// makeState makes the state directory where only what exists now can be
// written to later. One that cannot be made may not be needed.
func (p *process) makeState(file *config.File, n harden.Needs) {
	if n.Confined(p.options.level(file)) {
		_, _ = p.assembler.StateDir(file)
	}
}

// checkHardening says what of a file its own hardening rules out.
func checkHardening(a *assemble.Assembler, file *config.File, built *assemble.Built) error {
	if err := harden.Check(harden.Level(file.Hardening), hardeningNeeds(a, file, built)); err != nil {
		return config.Errors{file.Errorf(file.HardeningPos, "%v", err)}
	}
	return nil
}

func (p *process) needs(file *config.File, built *assemble.Built) harden.Needs {
	return hardeningNeeds(p.assembler, file, built)
}

// hardeningNeeds is what a configuration does on the machine.
func hardeningNeeds(a *assemble.Assembler, file *config.File, built *assemble.Built) harden.Needs {
	does := built.Footprint()
	n := harden.Needs{
		Commands:         does.Commands,
		PerhapsCommands:  does.PerhapsCommands,
		Processes:        watchers(file),
		PerhapsProcesses: tellers(file),
		Writable:         does.Writes,
	}
	for _, l := range file.Listens() {
		if l.Network == "unix" {
			n.Writable = append(n.Writable, filepath.Dir(l.Address))
		}
		if port, ok := tcpPort(l); ok {
			n.Ports = append(n.Ports, port)
		}
	}
	for _, to := range file.Audit.To {
		if path, ok := strings.CutPrefix(to, "file://"); ok {
			n.Writable = append(n.Writable, filepath.Dir(path)) // a new one takes the file's place
		}
	}
	if dir, err := a.StateDirName(file); err == nil {
		n.Writable = append(n.Writable, dir)
	}
	slices.Sort(n.Writable)
	n.Writable = slices.Compact(n.Writable)
	slices.Sort(n.Ports)
	n.Ports = slices.Compact(n.Ports)
	return n
}

func tcpPort(l config.Listen) (uint16, bool) {
	_, text, err := net.SplitHostPort(l.Address)
	if l.Network != "tcp" || err != nil {
		return 0, false
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err == nil
}

// watchers are the services that look at the processes of clients: those that
// tell programs apart, and those that tell the processes behind TCP connections
// by group.
func watchers(file *config.File) []string {
	var who []string
	for _, s := range file.Services {
		switch a := s.Allow; {
		case a == nil:
		case len(a.Executables) > 0:
			who = append(who, fmt.Sprintf("service %q (allow.executables)", s.Name))
		case len(a.Groups) > 0 && onNetwork(s, "tcp", "systemd"):
			who = append(who, fmt.Sprintf("service %q (allow.groups over TCP)", s.Name))
		}
	}
	return who
}

// tellers are the services whose log or audit says, of the client of a unix
// socket, which program it runs.
func tellers(file *config.File) []string {
	var who []string
	for _, s := range file.Services {
		if onNetwork(s, "unix", "systemd") && (s.Allow != nil || len(file.Audit.To) > 0) {
			who = append(who, fmt.Sprintf("service %q (the client's program, for audit and log)", s.Name))
		}
	}
	return who
}

func onNetwork(s config.Service, networks ...string) bool {
	return slices.ContainsFunc(s.Listen, func(l config.Listen) bool { return slices.Contains(networks, l.Network) })
}
