// Package harden takes from the process what a broker never needs: core
// dumps, being looked into by processes of the same user, new privileges,
// system calls, and, where the configuration leaves room for it, running
// programs, writing files and signalling others. What has been given up stays
// so until the process ends, for all its threads and for the programs that it
// starts.
//
// It does something on Linux. Elsewhere, and where a kernel lacks a part, the
// State says so.
package harden

import (
	"log/slog"
	"strings"
)

// Level is how much is given up.
type Level string

const (
	// Off leaves the process as it was started.
	Off Level = "off"
	// Default gives up what the configuration does not need, as far as the
	// kernel can.
	Default Level = "default"
	// Strict gives up all of it or fails.
	Strict Level = "strict"
)

// Needs is what the configuration still needs. The texts name who needs it,
// for messages: `provider "vault"`.
type Needs struct {
	// Commands are those who start programs; PerhapsCommands those who do so
	// if something outside the configuration tells them to.
	Commands, PerhapsCommands []string
	// Processes are those who must look at other processes, which Landlock
	// ends: /proc/PID/exe and /proc/PID/fd. PerhapsProcesses are those who say
	// more if they can.
	Processes, PerhapsProcesses []string
	// Writable are the directories, and files, that are written to.
	Writable []string
	// Ports are the TCP ports that are listened on.
	Ports []uint16
}

// Confined says whether the process is to be bound by Landlock, which nobody
// of Needs could work under.
func (n Needs) Confined(level Level) bool {
	switch level {
	case Off:
		return false
	case Strict:
		return true
	}
	return len(n.Commands)+len(n.PerhapsCommands)+len(n.Processes)+len(n.PerhapsProcesses) == 0
}

// Measure is one thing given up, or not.
type Measure struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
	// Detail is what exactly, or why not.
	Detail string `json:"detail,omitempty"`
}

// State is what is in force.
type State struct {
	Level    Level     `json:"level"`
	Measures []Measure `json:"measures"`

	needs Needs // as given up by; for Permits
	exec  bool  // programs can be started
	files bool  // Landlock is in force
	ports bool  // only needs.Ports can be listened on
}

func (s *State) add(name string, on bool, detail string) {
	s.Measures = append(s.Measures, Measure{name, on, detail})
}

// LogValue is a group with one attribute a measure.
func (s *State) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("level", string(s.Level))}
	for _, m := range s.Measures {
		text := "on"
		if !m.On {
			text = "off"
		}
		if m.Detail != "" {
			text += ": " + m.Detail
		}
		attrs = append(attrs, slog.String(m.Name, text))
	}
	return slog.GroupValue(attrs...)
}

// String is the level, and what is not in force.
func (s *State) String() string {
	var missing []string
	for _, m := range s.Measures {
		if !m.On {
			missing = append(missing, m.Name+" ("+m.Detail+")")
		}
	}
	if len(missing) == 0 {
		return string(s.Level)
	}
	return string(s.Level) + "; not in force: " + strings.Join(missing, ", ")
}

// Names of the measures.
const (
	coreDumps     = "coreDumps"
	inspection    = "inspection"
	newPrivileges = "newPrivileges"
	systemCalls   = "systemCalls"
	programs      = "programs"
	landlocked    = "landlock"
)

// who joins texts of Needs.
func who(list []string) string {
	const most = 3
	if len(list) > most {
		return strings.Join(list[:most], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}
