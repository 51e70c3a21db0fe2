package harden

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

const restart = "restart the broker to run this configuration"

// Check says why a configuration with these needs cannot run at the level, on
// any machine.
func Check(level Level, n Needs) error {
	if level != Strict {
		return nil
	}
	var errs []error
	if len(n.Commands) > 0 {
		errs = append(errs, fmt.Errorf("hardening is strict, which runs no programs, and %s does; write hardening: default, or use another provider", who(n.Commands)))
	}
	if len(n.Processes) > 0 {
		errs = append(errs, fmt.Errorf("hardening is strict, under which other processes cannot be seen, and %s must see them; allow users (or groups on unix sockets), or write hardening: default", who(n.Processes)))
	}
	return errors.Join(errs...)
}

// Permits says what of a later configuration is not possible any more.
func (s *State) Permits(n Needs) error {
	if s == nil || s.Level == Off {
		return nil
	}
	var errs []error
	if !s.exec && len(n.Commands)+len(n.PerhapsCommands) > 0 && !s.exempt(n) {
		errs = append(errs, fmt.Errorf("%s runs programs, which the broker gave up when it started, as nothing did then; %s", who(slices.Concat(n.Commands, n.PerhapsCommands)), restart))
	}
	if s.files && len(n.Processes) > 0 {
		errs = append(errs, fmt.Errorf("%s must see other processes, which the broker gave up when it started, as nothing did then; %s", who(n.Processes), restart))
	}
	if outside := s.notWritable(n.Writable); s.files && len(outside) > 0 {
		errs = append(errs, fmt.Errorf("the broker would write to %s, and gave that up when it started, for it wrote to %s only; %s", who(outside), who(s.needs.Writable), restart))
	}
	for _, p := range n.Ports {
		if s.ports && !slices.Contains(s.needs.Ports, p) {
			errs = append(errs, fmt.Errorf("port %d was not listened on when the broker started, and hardening is strict; %s", p, restart))
		}
	}
	return errors.Join(errs...)
}

// exempt is true under strict for those who run programs only perhaps: they
// started without being able to, and a reload may add more of them.
func (s *State) exempt(n Needs) bool { return s.Level == Strict && len(n.Commands) == 0 }

func (s *State) notWritable(paths []string) (outside []string) {
	for _, p := range paths {
		if !slices.ContainsFunc(s.needs.Writable, func(w string) bool { return within(p, w) }) {
			outside = append(outside, p)
		}
	}
	return outside
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
