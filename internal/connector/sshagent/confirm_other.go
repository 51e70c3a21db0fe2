//go:build !unix

package sshagent

import "os/exec"

// ownGroup does nothing: only the command itself ends with its time.
func ownGroup(*exec.Cmd) {}
