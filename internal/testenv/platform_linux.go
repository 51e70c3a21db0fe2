package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

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
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(uid, gid)}
	return nil
}

func credential(uid, gid int) *syscall.Credential {
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func processExists(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }

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
