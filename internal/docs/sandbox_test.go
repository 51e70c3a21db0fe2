//go:build linux

package docs

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"secretless/internal/testenv"
)

// sandbox is where the commands of a page run: a directory of their own, which
// is their home, and one shell for all of them, so that variables and brokers
// in the background live as long as they do for a reader.
type sandbox struct {
	t   *testing.T
	dir string // short: it holds unix sockets
	env map[string]string
	// replace is what the page says and what is meant here: names of hosts and
	// numbers of ports.
	replace map[string]string
	// later is done when the shell runs, before the page's commands.
	later []func()

	shell  *exec.Cmd
	stdin  io.WriteCloser
	mu     sync.Mutex
	heard  strings.Builder
	ended  chan struct{} // the shell's output has ended
	before int           // how much was heard when the last command began
}

// patience is for what should happen at once, on a busy machine.
const patience = 60 * time.Second

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	bin := filepath.Join(dir, ".bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"secretless", "secretless-broker"} {
		if err := os.Symlink(program, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return &sandbox{
		t: t, dir: dir, replace: map[string]string{},
		env: map[string]string{
			"PATH": bin + ":" + os.Getenv("PATH"), "HOME": dir, "XDG_STATE_HOME": filepath.Join(dir, ".state"), "XDG_RUNTIME_DIR": dir,
			"LC_ALL": "C.UTF-8", "PAGER": "cat", "PSQLRC": os.DevNull, "NO_COLOR": "1",
		},
	}
}

// ports gives each port of the page a free one.
func (s *sandbox) ports(numbers ...int) {
	s.t.Helper()
	for _, n := range numbers {
		port := strconv.Itoa(testenv.FreePort(s.t))
		s.replace[strconv.Itoa(n)] = port
		if name := defaultPorts[n]; name != "" {
			s.env[name] = port
		}
	}
}

// defaultPorts are the variables that tell clients another default: a page need
// not name the port that everybody knows.
var defaultPorts = map[int]string{5432: "PGPORT", 3306: "MYSQL_TCP_PORT"}

// here is the page's text with what is meant here; the longest first, each
// place once.
func (s *sandbox) here(text string) string {
	keys := slices.SortedFunc(maps.Keys(s.replace), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, k := range keys {
		pairs = append(pairs, k, s.replace[k])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// write puts a file where the page says it is.
func (s *sandbox) write(name, text string) {
	s.t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(s.dir, name)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start starts the shell.
func (s *sandbox) start() {
	s.t.Helper()
	s.shell = exec.Command("bash", "--noprofile", "--norc")
	s.shell.Dir = s.dir
	for name, value := range s.env {
		s.shell.Env = append(s.shell.Env, name+"="+value)
	}
	s.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// One file for both outputs, in the order in which they are written.
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.shell.Stdout, s.shell.Stderr = w, w
	if s.stdin, err = s.shell.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.shell.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = w.Close()
	s.ended = make(chan struct{})
	go s.listen(r)
	s.t.Cleanup(s.stop)
}

func (s *sandbox) listen(r *os.File) {
	defer close(s.ended)
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		l, err := lines.ReadString('\n')
		s.mu.Lock()
		s.heard.WriteString(l)
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// stop ends what the page has started, brokers first, so that they end in order.
func (s *sandbox) stop() {
	_, _ = io.WriteString(s.stdin, "kill $(jobs -p) 2>/dev/null; kill $(jobs -p) 2>/dev/null; wait; exit\n")
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
	}
	_ = syscall.Kill(-s.shell.Process.Pid, syscall.SIGKILL)
	_ = s.shell.Wait()
	<-s.ended
}

// since is what was heard since the last command began.
func (s *sandbox) since() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()[s.before:]
}

// await waits until what was heard has text in it.
func (s *sandbox) await(text string) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(s.since(), text) {
			return true
		}
		select {
		case <-s.ended:
			return strings.Contains(s.since(), text)
		default:
		}
	}
	return false
}

// must runs a command that the page does not have.
func (s *sandbox) must(text string) {
	s.t.Helper()
	if status, output := s.run(text); status != 0 {
		s.t.Fatalf("%s: exit status %d: %s", text, status, output)
	}
}

// apart gives a broker in the background a file for its log, so that its lines
// are not among those of clients.
func apart(text string) (command, log string) {
	before, ok := strings.CutSuffix(strings.TrimSpace(text), "&")
	if !ok {
		return text, ""
	}
	return before + " 2>.log &", ".log"
}

// ready waits until a broker's log says so.
func (s *sandbox) ready(log string) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		said, _ := os.ReadFile(filepath.Join(s.dir, log))
		if strings.Contains(string(said), `"msg":"ready"`) {
			return true
		}
	}
	return false
}

// run runs one command and returns its exit status and what was heard meanwhile.
func (s *sandbox) run(text string) (status int, output string) {
	s.t.Helper()
	s.mu.Lock()
	s.before = s.heard.Len()
	s.mu.Unlock()
	text, log := apart(text)
	if log != "" {
		_ = os.Remove(filepath.Join(s.dir, log))
	}
	// Standard input is the script itself, which no command may eat. The mark is
	// put together by printf, so that an echo is not taken for it.
	_, err := fmt.Fprintf(s.stdin, "{ %s\n} </dev/null\nprintf '\\n%%s done %%d\\n' ==secretless== $?\n", text)
	if err != nil {
		s.t.Fatalf("the shell has ended: %v\n%s", err, s.since())
	}
	if !s.await("==secretless== done ") {
		s.t.Fatalf("the command does not end: %s\n%s", text, s.since())
	}
	if log != "" && !s.ready(log) {
		said, _ := os.ReadFile(filepath.Join(s.dir, log))
		s.t.Fatalf("the broker in the background is not ready: %s\n%s", text, said)
	}
	output, end, _ := strings.Cut(s.since(), "==secretless== done ")
	line, rest, _ := strings.Cut(end, "\n")
	status, err = strconv.Atoi(line)
	if err != nil {
		s.t.Fatalf("%s: no exit status: %v", text, err)
	}
	return status, output + rest
}
