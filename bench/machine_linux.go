package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// machine describes what the figures depend on, after the run: servers start
// in it. What cannot be found out is
// left out; it is not what the run is for.
func (b *bench) machine(ctx context.Context) []fact {
	var facts []fact
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{name, value})
		}
	}
	add("processor", cpuModel())
	add("cores", strconv.Itoa(runtime.NumCPU()))
	add("kernel", firstLine("/proc/sys/kernel/osrelease"))
	add("load average a core before the start", fmt.Sprintf("%.2f", b.loadBefore))
	add("Go", runtime.Version())
	for _, s := range b.servers {
		if s.err == nil {
			facts = append(facts, s.server.facts(ctx)...)
		}
	}
	for _, r := range b.relays {
		add(r.name, versionOf(ctx, r.program, map[string]string{
			broker: "version", haproxy: "-v", nginx: "-v", pgbouncer: "--version",
		}[r.name]))
	}
	add("commit", commit(ctx))
	return facts
}

// loadPerCore is the load average of the last minute, divided by the cores; 0
// where it cannot be read.
func loadPerCore() float64 {
	var load float64
	if _, err := fmt.Sscan(firstLine("/proc/loadavg"), &load); err != nil {
		return 0
	}
	return load / float64(runtime.NumCPU())
}

func cpuModel() string {
	content, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(content) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func firstLine(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return line
}

// versionOf is the first line that the program prints about itself; nginx
// prints it on its standard error.
func versionOf(ctx context.Context, program, argument string) string {
	output, err := exec.CommandContext(ctx, program, argument).CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	return line
}

// commit is the checkout's, marked when there are changes besides.
func commit(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(output))
}
