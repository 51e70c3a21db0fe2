package peer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxStatus bounds what is read of /proc/<pid>/status: 65536 groups of up to
// ten digits fit.
const maxStatus = 1 << 20

// process is a process under inspection. It is held by its open directory in
// /proc, which stays with the process: once that has ended every read through
// it fails, even when its pid was taken by another. So what is read through
// one process is about one process.
type process struct {
	pid int
	dir int
	// fd is the name of a descriptor that was the socket looked for.
	fd string
}

func openProcess(pid int) (*process, error) {
	dir, err := retry(func() (int, error) {
		return unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open /proc/%d: %w", pid, err)
	}
	return &process{pid: pid, dir: dir}, nil
}

func (p *process) close() { unix.Close(p.dir) }

// open opens a file of the process.
func (p *process) open(name string) (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(p.dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// fileID is what makes two open files the same file, whatever their paths.
type fileID struct{ dev, ino uint64 }

// executable is the running program: the path the kernel gives for it and the
// file itself.
func (p *process) executable() (path string, id fileID, err error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(p.dir, "exe", buf)
	if err != nil {
		return "", id, p.explain("executable", err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir, "exe", &st, 0); err != nil {
		return "", id, p.explain("executable", err)
	}
	return string(buf[:n]), fileID{st.Dev, st.Ino}, nil
}

// explain says what a failed read of /proc means.
func (p *process) explain(what string, err error) error {
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENOENT):
		return errExited
	case denied(err):
		return fmt.Errorf("the broker may not see the %s of process %d (%w): run it as root or give it CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", what, p.pid, err)
	}
	return fmt.Errorf("read the %s of process %d: %w", what, p.pid, err)
}

func denied(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// hasSocket reports whether descriptor p.fd still is the socket.
func (p *process) hasSocket(inode uint64) bool {
	var buf [64]byte
	n, err := unix.Readlinkat(p.dir, "fd/"+p.fd, buf[:])
	if err != nil {
		return false
	}
	got, ok := socketInode(buf[:n])
	return ok && got == inode
}

// status is the part of /proc/<pid>/status that matters here.
type status struct {
	zombie bool
	// uids and gids are real, effective, saved and file system ids.
	uids, gids []uint32
	groups     []uint32 // supplementary
	// permitted and effective are capability sets, see capabilities(7).
	permitted, effective uint64
}

func (s status) hasUser(uid uint32) bool { return slices.Contains(s.uids, uid) }

func (p *process) status() (status, error) {
	f, err := p.open("status")
	if err != nil {
		return status{}, p.explain("status", err)
	}
	defer f.Close()
	st, err := parseStatus(io.LimitReader(f, maxStatus))
	if err != nil {
		return status{}, p.explain("status", err)
	}
	return st, nil
}

// parseStatus reads the format of proc_pid_status(5).
func parseStatus(r io.Reader) (st status, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxStatus)
	for lines.Scan() && err == nil {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch key {
		case "State":
			st.zombie = strings.HasPrefix(strings.TrimSpace(value), "Z")
		case "Uid":
			st.uids, err = parseIDs(value)
		case "Gid":
			st.gids, err = parseIDs(value)
		case "Groups":
			st.groups, err = parseIDs(value)
		case "CapPrm":
			st.permitted, err = parseSet(value)
		case "CapEff":
			st.effective, err = parseSet(value)
		}
	}
	if err = errors.Join(err, lines.Err()); err != nil {
		return status{}, err
	}
	if len(st.uids) != 4 || len(st.gids) != 4 {
		return status{}, errors.New("not the four user ids and four group ids expected")
	}
	return st, nil
}

func parseSet(s string) (uint64, error) {
	return strconv.ParseUint(strings.TrimSpace(s), 16, 64)
}

func parseIDs(s string) ([]uint32, error) {
	fields := strings.Fields(s)
	ids := make([]uint32, 0, len(fields))
	for _, field := range fields {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(n))
	}
	return ids, nil
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
