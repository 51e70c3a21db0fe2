package harden

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var somebody = []string{`provider "p" (/bin/p)`}

func needsFilter(t *testing.T) {
	t.Helper()
	if nativeArch == 0 {
		t.Skip("there is no filter for this machine")
	}
}

func needsLandlock(t *testing.T, abi int) {
	t.Helper()
	if have, err := landlockABI(); err != nil || have < abi {
		t.Skipf("needs Landlock %d: version %d, %v", abi, have, err)
	}
}

func TestRefusedCalls(t *testing.T) {
	needsFilter(t)
	for name, n := range map[string]Needs{"nothing is run": {}, "programs are run": {Commands: somebody}} {
		found := role{Level: Default, Needs: n, Probe: "calls"}.run(t)
		if want := len(refusedCalls(len(n.Commands) > 0)); len(found) != want {
			t.Errorf("%s: %d calls were tried, want %d: %v", name, len(found), want, found)
		}
		for call, err := range found {
			if err != "EPERM" {
				t.Errorf("%s: system call %s: %q, want EPERM", name, call, err)
			}
		}
	}
}

func TestRefusedArguments(t *testing.T) {
	needsFilter(t)
	found := role{Level: Default, Needs: Needs{Commands: somebody}, Probe: "arguments"}.run(t)
	for what, want := range map[string]string{
		"clone3": "ENOSYS", "socket packet": "EAFNOSUPPORT", "socket alg": "EAFNOSUPPORT", "socket vsock": "EAFNOSUPPORT",
		"socket netfilter": "EPROTONOSUPPORT", "socket diag": "",
		"ioctl TIOCSTI": "EPERM", "ioctl TIOCLINUX": "EPERM", "personality": "EPERM", "personality asked": "",
		"prctl dumpable": "EPERM", "prctl dumpable, high bits": "EPERM", "prctl not dumpable": "",
		"clone new user namespace": "fork/exec /bin/true: operation not permitted",
	} {
		if got, ok := found[what]; !ok || got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}

// What a broker does goes on working at every level.
func TestOrdinaryWork(t *testing.T) {
	for _, level := range []Level{Off, Default} {
		for name, n := range map[string]Needs{"nothing is run": {}, "programs are run": {Commands: somebody}} {
			dir := t.TempDir()
			n.Writable = []string{dir}
			for what, err := range (role{Level: level, Needs: n, Probe: "ordinary", Arg: dir}).run(t) {
				if err != "" {
					t.Errorf("%s, %s: %s: %s", level, name, what, err)
				}
			}
		}
	}
}

func TestAllThreads(t *testing.T) {
	needsFilter(t)
	for what, err := range (role{Level: Default, Probe: "threads"}).run(t) {
		if err != "" {
			t.Errorf("%s: %s", what, err)
		}
	}
}

func TestFiles(t *testing.T) {
	needsLandlock(t, strictABI)
	inside, outside := t.TempDir(), t.TempDir()
	for _, dir := range []string{inside, outside} {
		for _, name := range []string{"there", "read"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	found := role{Level: Default, Needs: Needs{Writable: []string{inside}}, Probe: "files", Arg: inside + ":" + outside}.run(t)
	for what, got := range found {
		want := "EACCES"
		switch {
		case strings.HasSuffix(what, "link"):
		case strings.HasPrefix(what, "inside"), what == "outside read":
			want = ""
		case what == "signal to the parent":
			want = "EPERM"
		case what == "run" && nativeArch != 0:
			want = "EPERM" // by the filter
		}
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	if len(found) < 20 {
		t.Errorf("only %d things were tried", len(found))
	}
}

// Where somebody needs it, nothing of this is forbidden.
func TestLandlockLeavesRoom(t *testing.T) {
	for name, n := range map[string]Needs{
		"commands": {Commands: somebody}, "perhaps commands": {PerhapsCommands: somebody},
		"processes": {Processes: somebody}, "perhaps processes": {PerhapsProcesses: somebody},
	} {
		found := role{Level: Default, Needs: n, Probe: "state"}.run(t)
		if found[landlocked] != "false" {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestStrict(t *testing.T) {
	needsFilter(t)
	needsLandlock(t, strictABI)
	allowed, other := freePort(t), freePort(t)
	abstract, err := net.Listen("unix", fmt.Sprintf("@secretless-harden-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	found := role{
		Level: Strict, Needs: Needs{Ports: []uint16{allowed}, PerhapsCommands: somebody, PerhapsProcesses: somebody}, Probe: "strict",
		Arg: fmt.Sprintf("%d %d %s %s", allowed, other, abstract.Addr(), target.Addr()),
	}.run(t)
	for what, want := range map[string]string{"port": "", "other port": "EACCES", "abstract socket": "EPERM", "dial": "", "mptcp": "EPROTONOSUPPORT"} {
		if got, ok := found[what]; !ok || got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	for name, on := range (role{Level: Strict, Probe: "state"}).run(t) {
		if on != "true" {
			t.Errorf("strict runs, and %s is not in force", name)
		}
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// TestInspection starts a process and another of the same, ordinary user, which
// tries to look into the first: its memory, environment and descriptors.
func TestInspection(t *testing.T) {
	path := testBinary(t)
	for _, level := range []Level{Off, Default} {
		watched := role{Level: level, Probe: "wait"}.process(t, path)
		asNobody(watched)
		stdin, err := watched.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := watched.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := watched.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		inspector := role{Level: Off, Probe: "inspect", Arg: fmt.Sprint(watched.Process.Pid)}.process(t, path)
		asNobody(inspector)
		out, err := inspector.Output()
		if err != nil {
			t.Fatal(err)
		}
		found := decode(t, out)
		_ = stdin.Close()
		if err := watched.Wait(); err != nil {
			t.Error(err)
		}
		for what, err := range found {
			switch refused := err == "EACCES" || err == "EPERM"; {
			case level == Default && !refused:
				t.Errorf("%s of a hardened process: %q, want a refusal", what, err)
			case level == Off && (what == "environ" || what == "fd" || what == "exe") && err != "":
				t.Errorf("%s of a process that is not hardened: %q: the test proves nothing", what, err)
			}
		}
		if len(found) != 8 {
			t.Errorf("tried %v", found)
		}
	}
}

// asNobody runs cmd as an ordinary user where the test is root, who may look
// into everything.
func asNobody(cmd *exec.Cmd) {
	const nobody = 65534
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

func decode(t *testing.T, out []byte) (found result) {
	t.Helper()
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return found
}

func isDumpable(t *testing.T) int {
	t.Helper()
	n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A program that is run has no more rights than the broker, and its umask,
// output and exit code are its own.
func TestCommandsInherit(t *testing.T) {
	needsFilter(t)
	found := role{
		Level: Default, Needs: Needs{Commands: somebody}, Probe: "command",
		Arg: `grep -c -e '^NoNewPrivs:.1$' -e '^Seccomp:.2$' /proc/self/status; ulimit -c; cat /proc/$$/environ >/dev/null && echo readable`,
	}.run(t)
	if got := strings.Fields(found["output"]); found["run"] != "" || strings.Join(got, " ") != "2 0 readable" {
		t.Errorf("%v", found)
	}
}

// Off leaves the process as it was started: what was done before the
// configuration was read is undone, and a limit on core dumps that somebody
// else has set stays.
func TestConcealAndReveal(t *testing.T) {
	// A child that becomes another user shares this process's memory for a
	// moment, and the kernel marks that as not dumpable.
	if err := setDumpable(true); err != nil {
		t.Fatal(err)
	}
	before := coreLimit(t)
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &before) })
	for _, soft := range []uint64{0, min(4096, before.Max), before.Max} {
		started := syscall.Rlimit{Cur: soft, Max: before.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &started); err != nil {
			t.Fatal(err)
		}
		reveal, err := Conceal()
		if err != nil {
			t.Fatal(err)
		}
		if isDumpable(t) != 0 {
			t.Error("dumpable after Conceal")
		}
		if _, err := Apply(Off, Needs{}); err != nil {
			t.Fatal(err)
		}
		if err := reveal(); err != nil {
			t.Fatal(err)
		}
		if isDumpable(t) != 1 {
			t.Error("not dumpable after Off")
		}
		if now := coreLimit(t); now != started {
			t.Errorf("started with the core limit %+v, now %+v", started, now)
		}
	}
}

// A process that was not dumpable before, as a program with capabilities of its
// own, does not become so.
func TestRevealOfWhatWasConcealedBefore(t *testing.T) {
	first, err := Conceal()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first() }()
	second, err := Conceal()
	if err != nil {
		t.Fatal(err)
	}
	if err := second(); err != nil || isDumpable(t) != 0 {
		t.Errorf("dumpable %d, %v", isDumpable(t), err)
	}
}

func coreLimit(t *testing.T) (limit syscall.Rlimit) {
	t.Helper()
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		t.Fatal(err)
	}
	return limit
}
