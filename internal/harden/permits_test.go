package harden

import (
	"strings"
	"testing"
)

func TestPermits(t *testing.T) {
	one := []string{`provider "pass" (/usr/bin/pass)`}
	confined := State{Level: Default, files: true, needs: Needs{Writable: []string{"/run/app", "/state"}}}
	strict := State{Level: Strict, files: true, ports: true, needs: Needs{Ports: []uint16{5432}, Writable: []string{"/run/app"}}}
	for _, c := range []struct {
		name  string
		state *State
		needs Needs
		want  string // empty: permitted
	}{
		{"nothing was given up", nil, Needs{Commands: one, Processes: one}, ""},
		{"off", &State{Level: Off}, Needs{Commands: one, Processes: one}, ""},
		{"commands ran from the start", &State{Level: Default, exec: true}, Needs{Commands: one}, ""},
		{"a first command", &confined, Needs{Commands: one}, `provider "pass" (/usr/bin/pass) runs programs`},
		{"perhaps a command", &confined, Needs{PerhapsCommands: one}, "runs programs"},
		{"a first command, no Landlock", &State{Level: Default}, Needs{Commands: one}, "runs programs"},
		{"a look at processes", &confined, Needs{Processes: one}, "must see other processes"},
		{"perhaps a look", &confined, Needs{PerhapsProcesses: one}, ""},
		{"a look, no Landlock", &State{Level: Default}, Needs{Processes: one}, ""},
		{"the same directories", &confined, Needs{Writable: []string{"/run/app", "/state/below"}}, ""},
		{"a neighbour", &confined, Needs{Writable: []string{"/run/application"}}, "write to /run/application"},
		{"above", &confined, Needs{Writable: []string{"/run"}}, "write to /run,"},
		{"another directory, no Landlock", &State{Level: Default}, Needs{Writable: []string{"/x"}}, ""},
		{"another port", &confined, Needs{Ports: []uint16{1}}, ""},
		{"the port, strict", &strict, Needs{Ports: []uint16{5432}}, ""},
		{"another port, strict", &strict, Needs{Ports: []uint16{5432, 5433}}, "port 5433"},
		{"perhaps a command, strict", &strict, Needs{PerhapsCommands: one}, ""},
		{"a command, strict", &strict, Needs{Commands: one}, "runs programs"},
	} {
		err := c.state.Permits(c.needs)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "restart the broker")):
			t.Errorf("%s: %v, want %q and what to do", c.name, err, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	one := []string{"service \"x\" (allow.executables)"}
	for level, wrong := range map[Level]bool{Off: false, Default: false, Strict: true} {
		for _, n := range []Needs{{Commands: one}, {Processes: one}} {
			if err := Check(level, n); (err != nil) != wrong {
				t.Errorf("%s, %v: %v", level, n, err)
			}
		}
		if err := Check(level, Needs{PerhapsCommands: one, PerhapsProcesses: one, Ports: []uint16{1}, Writable: []string{"/x"}}); err != nil {
			t.Errorf("%s: %v", level, err)
		}
	}
}

func TestStateText(t *testing.T) {
	s := &State{Level: Default}
	s.add(programs, true, "are refused")
	s.add(landlocked, false, "not on plan9")
	if got, want := s.LogValue().String(), "[level=default programs=on: are refused landlock=off: not on plan9]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
