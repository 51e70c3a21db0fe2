package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// httpTargetFlag, with a directory and two ports, makes a process of this
// program serveHTTPTarget. It is for this program alone.
const httpTargetFlag = "http-target"

// httpServerApart is the HTTP target as a process of its own. Where latency
// counts, client and target must not wait for each other inside of one runtime:
// with one core for both, that took half a millisecond.
func httpServerApart() kind { return kind{"the HTTP target as a process", startHTTPTargetApart} }

// httpTargetApart is that process.
type httpTargetApart struct {
	listening
	secure      int
	certificate string
}

func startHTTPTargetApart(ctx context.Context, b *bench) (server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var ports [2]int
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(b.dir, "http-apart")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	files := filepath.Join(dir, "files")
	args := []string{self, httpTargetFlag, files, strconv.Itoa(ports[0]), strconv.Itoa(ports[1])}
	own, err := account{uid: -1, gid: -1}.start(dir, launch{args: args, end: syscall.SIGKILL})
	if err != nil {
		return nil, err
	}
	t := &httpTargetApart{
		listening: listening{process: own, connector: "http", port: ports[0]},
		secure:    ports[1], certificate: filepath.Join(files, "target.crt"),
	}
	if err := own.await(ctx, 10*time.Millisecond, t.direct(way{encrypted: true}).dial); err != nil {
		own.stop()
		return nil, err
	}
	return t, nil
}

func (t *httpTargetApart) target(encrypted bool) target {
	return target{connector: t.connector, port: t.at(encrypted), encrypted: encrypted, certificate: t.certificate}
}

func (t *httpTargetApart) direct(w way) endpoint {
	return endpoint{port: t.at(w.encrypted), targetPort: t.at(w.encrypted), encrypted: w.encrypted}
}

func (t *httpTargetApart) at(encrypted bool) int {
	if encrypted {
		return t.secure
	}
	return t.port
}

// serveHTTPTarget is the process. It keeps off the relay's core, and ends by a
// signal.
func serveHTTPTarget(dir, plain, secure string) error {
	if runtime.NumCPU() > 1 {
		_, others, err := otherCores()
		if err != nil {
			return err
		}
		if err := moveThreads(&others); err != nil {
			return err
		}
		runtime.GOMAXPROCS(others.Count())
	}
	t, err := newHTTPTarget(dir, net.JoinHostPort(loopback, plain), net.JoinHostPort(loopback, secure))
	if err != nil {
		return err
	}
	t.owned.Wait()
	return nil
}
