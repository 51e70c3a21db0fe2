//go:build linux

package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"secretless/internal/relay"
)

// child runs what a test needs a process of its own for. It is the test binary
// started again, see TestMain.
func child(role string) int {
	run := map[string]func() error{"emfile": runOutOfDescriptors, "systemd": inheritSockets}[role]
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func startChild(t *testing.T, role string, files ...*os.File) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "BROKER_TEST_CHILD="+role)
	cmd.ExtraFiles = files
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestShortageOfDescriptorsEndsNoListener(t *testing.T) { startChild(t, "emfile") }

func runOutOfDescriptors() error {
	log := &logBuffer{}
	b := New(Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err := b.Apply(context.Background(), []*Service{service("svc", hello)}); err != nil {
		return err
	}
	address := b.Status()[0].Addresses[0]
	// One descriptor is left for the client's end, none for ours.
	probe, err := os.Open("/dev/null")
	if err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: uint64(probe.Fd()) + 1, Max: uint64(probe.Fd()) + 1}
	_ = probe.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		return fmt.Errorf("the client: %w", err)
	}
	time.Sleep(600 * time.Millisecond)
	if n := strings.Count(log.String(), "cannot accept"); n != 1 {
		return fmt.Errorf("logged %d times:\n%s", n, log)
	}
	if !strings.Contains(log.String(), "too many open files") {
		return fmt.Errorf("another error: %s", log)
	}
	if !b.Ready() {
		return errors.New("a shortage makes the broker unready for ever")
	}
	_ = c.Close()
	// The listener is alive: client and broker need one descriptor each, so
	// the soft limit has to let them; it cannot be raised, but stdin can go.
	_ = os.Stdin.Close()
	for range 20 {
		if err = greeted(address); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("the listener did not recover: %w", err)
	}
	return b.Shutdown(context.Background())
}

func greeted(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	got, err := io.ReadAll(c)
	if string(got) != "here\n" {
		return fmt.Errorf("got %q, %w", got, err)
	}
	return nil
}

func TestSocketActivation(t *testing.T) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	keep := func(f *os.File, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	keep(tcp.(*net.TCPListener).File())
	sock, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	keep(sock.(*net.UnixListener).File())
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	keep(udp.(*net.UDPConn).File())
	keep(os.Open(os.DevNull))
	startChild(t, "systemd", files...)
}

func inheritSockets() error {
	r, err := relay.New(relay.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	env := map[string]string{
		"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": "4", "LISTEN_FDNAMES": "web:local:dgram:null",
	}
	b := New(Options{Relay: r, Getenv: func(k string) string { return env[k] }})
	on := func(name string) *Service {
		return with(service(name, hello), func(s *Service) { s.Listen = []Address{{"systemd", name}} })
	}
	for name, want := range map[string]string{
		"dgram": "not a stream socket", "null": "is no socket", "other": `no socket called "other", but web, local, dgram, null`,
	} {
		if err := b.Apply(context.Background(), []*Service{on(name)}); err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("%s: %w; want %q", name, err, want)
		}
	}
	// Removed by one reload, back with the next.
	for _, set := range [][]*Service{{on("web"), on("local")}, {on("web")}, {on("web"), on("local")}} {
		if err := b.Apply(context.Background(), set); err != nil {
			return err
		}
		for _, s := range b.Status() {
			if len(s.Addresses) == 0 {
				continue // it drains
			}
			network := map[string]string{"web": "tcp", "local": "unix"}[s.Name]
			c, err := net.Dial(network, s.Addresses[0])
			if err != nil {
				return err
			}
			got, _ := io.ReadAll(c)
			_ = c.Close()
			if string(got) != "here\n" {
				return fmt.Errorf("%s: got %q", s.Name, got)
			}
		}
	}
	path := b.Status()[0].Addresses[0]
	if err := b.Shutdown(context.Background()); err != nil {
		return err
	}
	if _, err := os.Lstat(path); err != nil {
		return fmt.Errorf("systemd's socket was removed: %w", err)
	}
	return nil
}

func TestSocketActivationEnvironment(t *testing.T) {
	for _, env := range []map[string]string{
		{},
		{"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"},
		{"LISTEN_PID": "7", "LISTEN_FDS": "x", "LISTEN_FDNAMES": "a"},
		{"LISTEN_PID": "7", "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""},
		{"LISTEN_PID": "7", "LISTEN_FDS": "1000000", "LISTEN_FDNAMES": "a"},
		{"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"},
		{"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:a"},
	} {
		a := &activation{getenv: func(k string) string { return env[k] }, pid: 7, first: 1000}
		if _, err := a.listen("a"); err == nil {
			t.Errorf("%v was accepted", env)
		}
	}
}
