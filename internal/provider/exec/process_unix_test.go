//go:build unix

package exec_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretless/internal/provider"
	"secretless/internal/provider/exec"
)

// long is how long the scripts below would take; no test waits for it.
const long = "sleep 600"

// withFIFO makes a pipe on which a script says its process id.
func withFIFO(t *testing.T) (path string, pid func() int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pid")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	return path, func() int {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// gone waits until a process has ended. Who has lost its parent is reaped by
// whoever inherits it, soon but not at once.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
			_, rest, _ := strings.Cut(string(stat), ") ")
			if strings.HasPrefix(rest, "Z") {
				return
			}
		}
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// A command is ended with what it has started when the lookup ends, however
// much it would like to stay.
func TestEnded(t *testing.T) {
	for name, body := range map[string]string{
		"slow":                `echo $$ >"$1"; exec ` + long,
		"slow child":          `(echo $(exec sh -c 'echo $PPID') >"$1"; ` + long + `) & wait`,
		"ignores SIGTERM":     `trap '' TERM; echo $$ >"$1"; while :; do ` + long + `; done`,
		"answers and stays":   `printf '{"a": "b"}'; exec >&-; echo $$ >"$1"; ` + long,
		"floods stderr":       `echo $$ >"$1"; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; done`,
		"does not read stdin": `exec <&-; echo $$ >"$1"; ` + long,
		"stopped by a signal": `echo $$ >"$1"; kill -STOP $$`,
		"closes both outputs": `exec >&- 2>&-; echo $$ >"$1"; ` + long,
	} {
		t.Run(name, func(t *testing.T) {
			fifo, pid := withFIFO(t)
			p, _ := instance(t, exec.Config{Command: []string{script(t, body), fifo}}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := p.Fetch(ctx, []string{"a"})
				done <- err
			}()
			running := pid()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			gone(t, running)
		})
	}
}

// What a command leaves behind when it has answered does not hold the lookup
// up, and is ended unless it has left the group on purpose, as gpg-agent does.
func TestLeftBehind(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		stays bool
	}{
		"grandchild holds stdout": {`(echo $(exec sh -c 'echo $PPID') >"$1"; ` + long + `) & cat "$1" >"$2"; printf '{"a": "b"}'`, false},
		"daemon holds stdout":     {`setsid sh -c 'echo $$ >"$1"; exec ` + long + `' sh "$1" & cat "$1" >"$2"; printf '{"a": "b"}'`, true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.stays {
				needs(t, "setsid")
			}
			fifo, _ := withFIFO(t)
			file := filepath.Join(t.TempDir(), "pid")
			p, _ := instance(t, exec.Config{Command: []string{script(t, c.body), fifo, file}}, nil)
			leases, err := p.Fetch(t.Context(), []string{"a"})
			if err != nil || string(leases["a"].Value.Bytes()) != "b" {
				t.Fatalf("got %v", err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Dir(file), "pid")))
			if err != nil {
				t.Fatal(err)
			}
			if c.stays {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Errorf("daemon was ended: %v", err)
				}
			}
			gone(t, pid)
		})
	}
}

func TestFloods(t *testing.T) {
	p, _ := instance(t, exec.Config{Command: []string{script(t, `while :; do echo s3cret-s3cret-s3cret-s3cret-s3cret-s3cret; done`)}}, nil)
	if _, err := p.Fetch(t.Context(), []string{"a"}); !errors.Is(err, exec.ErrTooMuch) {
		t.Errorf("got %v", err)
	}
	// A megabyte is still fine, and so is any amount of noise beside it.
	p, log := instance(t, exec.Config{Command: []string{script(t,
		`head -c 3000000 /dev/zero | tr '\0' n >&2; printf '{"a": "'; head -c 1000000 /dev/zero | tr '\0' v; printf '"}'`)}}, nil)
	leases, err := p.Fetch(t.Context(), []string{"a"})
	if err != nil || leases["a"].Value.Len() != 1000000 {
		t.Errorf("got %d bytes, %v", leases["a"].Value.Len(), err)
	}
	if log.Len() > 10000 || !strings.Contains(log.String(), "left_out_bytes=") {
		t.Errorf("log has %d bytes: %.300s", log.Len(), log)
	}
}

// The deadline and the end of an instance reach the command.
func TestThroughInstance(t *testing.T) {
	fifo, pid := withFIFO(t)
	p, _ := instance(t, exec.Config{Command: []string{script(t, `echo $$ >"$1"; exec `+long), fifo}}, nil)
	i := provider.NewInstance(provider.InstanceOptions{Name: "under-test", Provider: p, Timeout: time.Hour})
	c := provider.NewCredentials("s", []provider.Ref{{Name: "password", Instance: i, Get: "a"}}, nil)
	done := make(chan error, 1)
	go func() { done <- c.Check(t.Context()) }()
	running := pid()
	i.Close()
	c.Close()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "provider is closed") {
		t.Errorf("got %v", err)
	}
	gone(t, running)

	i = provider.NewInstance(provider.InstanceOptions{Name: "under-test", Provider: p, Timeout: 10 * time.Millisecond})
	defer i.Close()
	c = provider.NewCredentials("s", []provider.Ref{{Name: "password", Instance: i, Get: "a"}}, nil)
	defer c.Close()
	if err := c.Check(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "provider under-test: a: no answer within 10ms: ") || strings.Contains(err.Error(), "context") {
		t.Errorf("got %v", err)
	}
}

// More lookups than slots wait for each other, and give up in time.
func TestSlots(t *testing.T) {
	fifo, _ := withFIFO(t)
	p, _ := instance(t, exec.Config{Command: []string{script(t, `cat "$1" >/dev/null; printf '{"a": "b"}'`), fifo}}, nil)
	const lookups = 12
	results := make(chan error, lookups)
	for range lookups {
		go func() {
			_, err := p.Fetch(t.Context(), []string{"a"})
			results <- err
		}()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Fetch(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for n := 0; n < lookups; { // each opening lets those go that wait
		w, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			_ = w.Close()
		}
		select {
		case err := <-results:
			n++
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Millisecond):
		}
	}
}

func needs(t *testing.T, program string) {
	t.Helper()
	for _, dir := range []string{"/usr/bin", "/bin"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
			return
		}
	}
	t.Skip(program, "is not installed")
}

func TestStderr(t *testing.T) {
	p, log := instance(t, exec.Config{Command: []string{script(t, `
printf '{"a": "line one\nhunter22 \\"x"}' | tr '\n' ' '
echo "warning: token hunter22 is old" >&2
printf 'two\033[31m\r\n\nthree \377' >&2`)}}, nil)
	if _, err := p.Fetch(t.Context(), []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "\n"); got != 3 || strings.Contains(log.String(), "\x1b") {
		t.Errorf("%d lines: %s", got, log)
	}
	p, log = instance(t, exec.Config{Command: []string{script(t, `
printf '{"a": "hunter22\\nand more", "b": {"base64": "aHVudGVyMzM="}}'
echo "got hunter22 and hunter33 (aHVudGVyMzM=), ${1}and more" >&2
exit 1`)}}, nil)
	_, err := p.Fetch(t.Context(), []string{"a"})
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("error %v", err)
	}
	if want := `level=WARN msg="command wrote to standard error" line="got [secret] and [secret] ([secret]), [secret]"`; !strings.Contains(log.String(), want) {
		t.Errorf("log %s\nwants %s", log, want)
	}
}

// A tool that complains of its token does not get it into the log; a path that
// it complains of does.
func TestTokensAreNotLogged(t *testing.T) {
	p, log := instance(t, exec.Config{
		Command: []string{script(t, `echo "token $TOKEN is no good, nor is $STORE" >&2; exit 1`)}, Env: []string{"TOKEN", "STORE", "SHORT"},
	}, map[string]string{"TOKEN": "ops_eyJzaWduSW4", "STORE": "/srv/store", "SHORT": "good"})
	if _, err := p.Fetch(t.Context(), []string{"a"}); err == nil {
		t.Error("no error")
	}
	if want := `line="token [secret] is no good, nor is /srv/store"`; !strings.Contains(log.String(), want) {
		t.Errorf("log %s\nwants %s", log, want)
	}
}
