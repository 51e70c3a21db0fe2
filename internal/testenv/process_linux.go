package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dieWithParent makes PostgreSQL shut down at once (SIGQUIT, which takes its
// children along) when the thread that started it ends.
func dieWithParent(cmd *exec.Cmd) {
	if a := attr(cmd); a.Pdeathsig == 0 {
		a.Pdeathsig = syscall.SIGQUIT
	}
}

// endWithParent is dieWithParent for a program that ends its children only when
// it is asked to end.
func endWithParent(cmd *exec.Cmd) { attr(cmd).Pdeathsig = syscall.SIGTERM }

// CanBindToProcess tells whether servers end with a test process that is killed.
func CanBindToProcess() bool { return true }

func attr(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// serverUser is who runs the servers: PostgreSQL refuses to run as root.
func serverUser() (uid, gid int, err error) {
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid(), nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return uid, gid, nil
	}
	return 0, 0, fmt.Errorf("no user to run servers as: PostgreSQL refuses root, and there is neither postgres nor nobody")
}

// asServerUser makes cmd run as serverUser.
func asServerUser(cmd *exec.Cmd) error {
	uid, gid, err := serverUser()
	if err != nil || uid == os.Getuid() {
		return err
	}
	attr(cmd).Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return nil
}

func processExists(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }

// killTree kills pid and its children, the parent first so that it replaces
// none of them, and waits until the children hold nothing any more: a server
// that starts while one is left finds its memory in use. pid's own end is its
// parent's to wait for.
func killTree(pid int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var children []int
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, c := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(c); err == nil {
				children = append(children, child)
			}
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	const patience = 10 * time.Second
	for end := time.Now().Add(patience); slices.ContainsFunc(children, alive) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// alive says whether a process runs. One that waits for its parent to take note
// of its end has no memory any more.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name in parentheses may hold anything.
	state := strings.TrimSpace(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return state != "" && state[0] != 'Z' && state[0] != 'X'
}

// freeBytes is the room in the file system of dir, zero if it cannot be written.
func freeBytes(dir string) uint64 {
	var fs syscall.Statfs_t
	const writable = 2
	if syscall.Access(dir, writable) != nil || syscall.Statfs(dir, &fs) != nil {
		return 0
	}
	return fs.Bavail * uint64(fs.Bsize)
}

func removeSegment(id int) {
	const remove = 0 // IPC_RMID
	_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), remove, 0)
}
