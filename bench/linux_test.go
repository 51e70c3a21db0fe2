//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseProcStat(t *testing.T) {
	line := "4711 (a (b) c) S 42 1 1 0 -1 4194304 1 2 3 4 150 50 6 7 20 0 1 0 99 1000000 2048 18446744073709551615\n"
	got, err := parseProcStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if want := (procStat{pid: 4711, parent: 42, userTicks: 150, systemTicks: 50, rssPages: 2048}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.cpuSeconds() != 2 {
		t.Errorf("CPU time %v s, want 2", got.cpuSeconds())
	}
	for _, bad := range []string{"", "1 name S", "1 (x) S 2", "x (x) S " + strings.Repeat("1 ", 30)} {
		if got, err := parseProcStat([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v and no error", bad, got)
		}
	}
}

func TestUsageOfOurselves(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.rssKiB <= 0 || before.descriptors <= 0 {
		t.Errorf("usage %+v, want memory and descriptors", before)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that does not exist: no error")
	}
}

func TestRowsAreWholeAndCounted(t *testing.T) {
	rows := newRows(1000)
	announced := rows.left
	content, err := io.ReadAll(io.LimitReader(rows, announced+1))
	if err != nil || int64(len(content)) != announced {
		t.Fatalf("%d bytes, %v, want %d", len(content), err, announced)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if len(lines) != 1000 || lines[0] != lines[999] || len(lines[0]) != 9+bulkRowBytes {
		t.Errorf("%d lines, the first of %d bytes", len(lines), len(lines[0]))
	}
}

func TestFakeTargetCarriesEveryLoad(t *testing.T) {
	fake, err := startFakeTarget(t.TempDir() + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer fake.stop()
	for _, network := range []string{"tcp", "unix"} {
		for _, upload := range []bool{true, false} {
			done, err := rawLoad(t.Context(), fake.direct(way{network: network}), 4<<20, upload)
			if err != nil || done.work != 4<<20 || done.perSecond() <= 0 {
				t.Errorf("%s, upload %v: %+v, %v", network, upload, done, err)
			}
		}
		var held holder
		if err := held.fill(t.Context(), fake.direct(way{network: network}), 20); err != nil || len(held.conns) != 20 {
			t.Errorf("%s: %d of 20 connections held: %v", network, len(held.conns), err)
		}
		held.close()
	}
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		args            []string
		rounds, seconds int
		out             string
	}{
		{nil, 5, 3, defaultDocument},
		{[]string{"-quick"}, 3, 1, defaultDocument},
		{[]string{"-quick", "-rounds", "9", "-seconds", "2"}, 9, 2, defaultDocument},
		{[]string{"-only", "COPY"}, 5, 3, ""},
		{[]string{"-relays", "haproxy"}, 5, 3, ""},
		{[]string{"-only", "COPY", "-out", "x.md"}, 5, 3, "x.md"},
	} {
		got, err := parseOptions(test.args)
		if err != nil || got.rounds != test.rounds || got.seconds != test.seconds || got.out != test.out {
			t.Errorf("%q: %+v, %v", test.args, got, err)
		}
	}
	for _, bad := range [][]string{{"-rounds", "0"}, {"-seconds", "-1"}, {"-only", "("}, {"extra"}} {
		if _, err := parseOptions(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestRelaysCarryWhatTheyCan(t *testing.T) {
	passing := relay{name: haproxy}
	speaking := relay{name: broker, logsIn: true}
	pooling := relay{name: pgbouncer, logsIn: true, only: "pg"}
	secure := relay{name: nginx, logsIn: true, https: true}
	for _, test := range []struct {
		target target
		want   [4]bool
	}{
		{target{connector: "pg"}, [4]bool{true, true, true, true}},
		{target{connector: "pg", encrypted: true}, [4]bool{false, true, true, true}},
		{target{connector: "mysql"}, [4]bool{true, true, false, true}},
		{target{connector: "mysql", encrypted: true}, [4]bool{false, true, false, true}},
		{target{connector: "http"}, [4]bool{true, true, false, true}},
		{target{connector: "http", encrypted: true}, [4]bool{false, false, false, true}},
	} {
		got := [4]bool{passing.carries(test.target), speaking.carries(test.target), pooling.carries(test.target), secure.carries(test.target)}
		if got != test.want {
			t.Errorf("%+v: %v, want %v", test.target, got, test.want)
		}
	}
}

// The TDS test target ends with its standard input, and the façade reads its
// settings from it.
func TestProcessKeepsItsStandardInput(t *testing.T) {
	p, err := account{uid: -1, gid: -1}.start(t.TempDir(), launch{
		args: []string{"/bin/bash", "-c", `read -r line; read -r -t 0.1; echo "$line $?"; exec sleep 60`}, input: []byte("settings\n"), end: syscall.SIGKILL,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	err = p.await(t.Context(), time.Millisecond, func(context.Context) error {
		if p.lastOutput() == "" {
			return errors.New("it has not read its input")
		}
		return nil
	})
	// Bash's read ends with 1 at the end of the input, above 128 after waiting.
	var status int
	if _, scanned := fmt.Sscanf(p.lastOutput(), "settings %d", &status); err != nil || scanned != nil || status <= 128 {
		t.Errorf("output %q, %v: want the settings, and that the input has not ended", p.lastOutput(), err)
	}
}

func TestServersStartOnceAndStopInReverse(t *testing.T) {
	var events []string
	fake := func(name string, failure error) kind {
		return kind{name, func(context.Context, *bench) (server, error) {
			events = append(events, "start "+name)
			return recordedServer{name: name, events: &events}, failure
		}}
	}
	b := &bench{}
	for _, k := range []kind{fake("a", nil), fake("b", errors.New("no")), fake("c", nil), fake("a", nil), fake("b", nil)} {
		if _, err := b.server(t.Context(), k); (err != nil) != (k.name == "b") {
			t.Errorf("%s: %v", k.name, err)
		}
	}
	b.stopServers()
	if want := []string{"start a", "start b", "start c", "stop c", "stop a"}; !slices.Equal(events, want) {
		t.Errorf("%q, want %q", events, want)
	}
}

type recordedServer struct {
	server
	name   string
	events *[]string
}

func (s recordedServer) stop() { *s.events = append(*s.events, "stop "+s.name) }

// A name twice would make the bars read the wrong load.
func TestLoadsHaveDifferentNames(t *testing.T) {
	seen := map[string]bool{}
	b := &bench{options: options{seconds: 1}}
	for _, l := range b.suite() {
		if seen[l.name] {
			t.Errorf("two loads are called %q", l.name)
		}
		seen[l.name] = true
	}
	for _, one := range bars(results{}) {
		for _, prefix := range []string{"select", "COPY", "raw", "mysql", "mssql", "http 1 KiB", "http half"} {
			name, _, _ := strings.Cut(one.what, ": ")
			if strings.HasPrefix(one.what, prefix) && !seen[name] {
				t.Errorf("the bar %q belongs to no load", one.what)
			}
		}
	}
}
