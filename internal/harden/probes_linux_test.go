package harden

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// probes are what a process tries when it has given up its rights.
var probes = map[string]func(arg string, s *State, found result){
	"calls":     probeCalls,
	"arguments": probeArguments,
	"ordinary":  probeOrdinary,
	"threads":   probeThreads,
	"files":     probeFiles,
	"strict":    probeStrict,
	"inspect":   probeInspect,
	"command":   probeCommand,
	"state":     func(_ string, s *State, found result) { found.state(s) },
}

func (f result) put(what string, err error) {
	f[what] = ""
	if err != nil {
		f[what] = err.Error()
	}
}

func (f result) errno(what string, errno syscall.Errno) {
	f[what] = ""
	if errno != 0 {
		f[what] = unix.ErrnoName(errno)
	}
}

func (f result) state(s *State) {
	for _, m := range s.Measures {
		f[m.Name] = fmt.Sprint(m.On)
	}
}

// probeCalls makes every refused call, without arguments. It does not start
// where there is no filter: some would do something.
func probeCalls(_ string, s *State, found result) {
	if !statusHas("self", "Seccomp:\t2") {
		found["filter"] = "missing"
		return
	}
	for _, call := range refusedCalls(s.exec) {
		_, _, errno := unix.RawSyscall(uintptr(call), 0, 0, 0)
		found.errno(strconv.Itoa(int(call)), errno)
	}
}

func probeArguments(_ string, _ *State, found result) {
	for name, call := range map[string][4]uintptr{
		"clone3":                    {unix.SYS_CLONE3},
		"socket packet":             {unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW},
		"socket alg":                {unix.SYS_SOCKET, unix.AF_ALG, unix.SOCK_SEQPACKET},
		"socket vsock":              {unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM},
		"socket netfilter":          {unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER},
		"socket mptcp":              {unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, protocolMPTCP},
		"socket diag":               {unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG},
		"ioctl TIOCSTI":             {unix.SYS_IOCTL, 1, unix.TIOCSTI},
		"ioctl TIOCLINUX":           {unix.SYS_IOCTL, 1, tiocLinux},
		"personality":               {unix.SYS_PERSONALITY, 0x0040000},
		"personality asked":         {unix.SYS_PERSONALITY, samePersonality},
		"prctl dumpable":            {unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1},
		"prctl dumpable, high bits": {unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1 | 1<<33},
		"prctl not dumpable":        {unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0},
	} {
		r, _, errno := unix.RawSyscall6(call[0], call[1], call[2], call[3], 0, 0, 0)
		found.errno(name, errno)
		if call[0] == unix.SYS_SOCKET && errno == 0 {
			_ = unix.Close(int(r))
		}
	}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	found.put("clone new user namespace", cmd.Run())
}

// probeOrdinary is what a broker does all the time.
func probeOrdinary(dir string, _ *State, found result) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	found.put("listen", err)
	if err == nil {
		c, err := net.Dial("tcp", l.Addr().String())
		found.put("dial", err)
		if err == nil {
			_ = c.Close()
		}
		_ = l.Close()
	}
	_, err = net.LookupHost("localhost")
	found.put("resolve", err)
	_, err = net.InterfaceAddrs()
	found.put("addresses", err)
	_, err = os.ReadFile("/etc/passwd")
	found.put("read", err)
	u, err := net.Listen("unix", filepath.Join(dir, "socket"))
	found.put("unix socket", err)
	if err == nil {
		_ = u.Close()
	}
	_, err = os.ReadDir("/proc/self/fd")
	found.put("own descriptors", err)
	_, err = os.Readlink("/proc/self/exe")
	found.put("own executable", err)
	f, err := os.Open("/dev/null")
	if err == nil {
		err = os.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), 0o666)
		_ = f.Close()
	}
	if os.Getuid() != 0 {
		err = nil // it is root's
	}
	found.put("chmod of a descriptor", err)
	_, err = os.ReadFile("/proc/self/maps") // of pprof
	found.put("own maps", err)
}

func probeThreads(_ string, _ *State, found result) {
	tasks, err := os.ReadDir("/proc/self/task")
	found.put("list", err)
	if len(tasks) < 4 {
		found["list"] = fmt.Sprintf("%d threads only", len(tasks))
	}
	for _, task := range tasks {
		for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !statusHas("self/task/"+task.Name(), want) {
				found["thread"] = "one lacks " + want
			}
		}
	}
}

func statusHas(process, line string) bool {
	text, _ := os.ReadFile("/proc/" + process + "/status")
	return strings.Contains(string(text), "\n"+line+"\n")
}

// probeFiles gets two directories, of which only the first is allowed.
func probeFiles(dirs string, _ *State, found result) {
	inside, outside, _ := strings.Cut(dirs, ":")
	for name, dir := range map[string]string{"inside": inside, "outside": outside} {
		path := filepath.Join(dir, "file")
		_, err := os.ReadFile(filepath.Join(dir, "read"))
		found.put(name+" read", plainly(err))
		found.put(name+" create", plainly(os.WriteFile(path, []byte("x"), 0o600)))
		found.put(name+" overwrite", plainly(os.WriteFile(filepath.Join(dir, "there"), []byte("x"), 0o600)))
		found.put(name+" truncate", plainly(os.Truncate(filepath.Join(dir, "there"), 0)))
		found.put(name+" directory", plainly(os.Mkdir(filepath.Join(dir, "directory"), 0o700)))
		found.put(name+" rename", plainly(os.Rename(filepath.Join(dir, "there"), filepath.Join(dir, "moved"))))
		found.put(name+" remove", plainly(os.Remove(filepath.Join(dir, "read"))))
		found.put(name+" link", plainly(os.Symlink("x", filepath.Join(dir, "link"))))
		l, err := net.Listen("unix", filepath.Join(dir, "socket"))
		found.put(name+" socket", plainly(err))
		if err == nil {
			_ = l.Close()
		}
	}
	found.put("signal to the parent", plainly(unix.Kill(os.Getppid(), 0)))
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", os.Getppid()))
	found.put("parent's executable", plainly(err))
	found.put("run", plainly(exec.Command("/bin/true").Run()))
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	found.put("inside null", plainly(err))
	_ = null.Close()
}

// plainly is the system's error alone.
func plainly(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errors.New(unix.ErrnoName(errno))
	}
	return err
}

// probeStrict gets an allowed port, a forbidden one, and the abstract socket of
// another process.
func probeStrict(arg string, _ *State, found result) {
	part := strings.Split(arg, " ")
	for i, name := range []string{"port", "other port"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+part[i])
		found.put(name, plainly(err))
		if err == nil {
			_ = l.Close()
		}
	}
	_, err := net.Dial("unix", part[2])
	found.put("abstract socket", plainly(err))
	_, err = net.Dial("tcp", part[3])
	found.put("dial", plainly(err))
	_, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, protocolMPTCP)
	found.errno("mptcp", errno)
}

// probeInspect tries to look into another process of the same user.
func probeInspect(pid string, _ *State, found result) {
	for _, name := range []string{"environ", "mem", "maps"} {
		f, err := os.Open("/proc/" + pid + "/" + name)
		if err == nil {
			var b [1]byte
			if _, err = f.Read(b[:]); name == "mem" {
				err = nil // nothing is at address 0; it was opened
			}
			_ = f.Close()
		}
		found.put(name, plainly(err))
	}
	_, err := os.Readlink("/proc/" + pid + "/fd/0")
	found.put("fd", plainly(err))
	_, err = os.Readlink("/proc/" + pid + "/exe")
	found.put("exe", plainly(err))
	n, _ := strconv.Atoi(pid)
	_, _, errno := unix.Syscall(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(n), 0)
	found.errno("ptrace", errno)
	local, remote := make([]byte, 1), unix.RemoteIovec{Base: 1, Len: 1}
	_, err = unix.ProcessVMReadv(n, []unix.Iovec{{Base: &local[0], Len: 1}}, []unix.RemoteIovec{remote}, 0)
	if errors.Is(err, unix.EFAULT) {
		err = nil // it was allowed to read, and there is nothing at 1
	}
	found.put("process_vm_readv", plainly(err))
	// The socket number of a pidfd that is taken.
	pidfd, err := unix.PidfdOpen(n, 0)
	if err == nil {
		_, err = unix.PidfdGetfd(pidfd, 0, 0)
		_ = unix.Close(pidfd)
	}
	found.put("pidfd_getfd", plainly(err))
}

// probeCommand runs a program, as the exec provider does, and asks it what it
// may do.
func probeCommand(script string, _ *State, found result) {
	out, err := exec.Command("/bin/sh", "-c", script).Output()
	found.put("run", plainly(err))
	found["output"] = strings.TrimSpace(string(out))
}
