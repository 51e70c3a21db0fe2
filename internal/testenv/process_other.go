//go:build !linux

package testenv

import (
	"errors"
	"os"
	"os/exec"
)

// dieWithParent: only Linux can promise this; elsewhere a killed test process
// leaves its servers behind.
func dieWithParent(*exec.Cmd) {}

func endWithParent(*exec.Cmd) {}

// CanBindToProcess tells whether servers end with a test process that is killed.
func CanBindToProcess() bool { return false }

func serverUser() (uid, gid int, err error) {
	if os.Getuid() == 0 {
		return 0, 0, errors.New("PostgreSQL refuses to run as root: run the tests as another user")
	}
	return os.Getuid(), os.Getgid(), nil
}

func asServerUser(*exec.Cmd) error {
	_, _, err := serverUser()
	return err
}

// processExists says yes: it cannot tell, and nothing in use may be removed.
func processExists(int) bool { return true }

func killTree(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

func freeBytes(string) uint64 { return 0 }

func removeSegment(int) {}
