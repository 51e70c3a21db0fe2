package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// ticksPerSecond is USER_HZ, the unit of the times in /proc/<pid>/stat. It is
// the same on every Linux that Go runs on.
const ticksPerSecond = 100

// usage is what a process and its descendants (nginx's workers) have used.
type usage struct {
	cpuSeconds  float64 // user and system, all threads
	rssKiB      float64 // pages shared between the processes count once in each
	descriptors int
}

// usageOf reads the usage of pid and its descendants.
func usageOf(pid int) (usage, error) {
	family, err := descendants(pid)
	if err != nil {
		return usage{}, err
	}
	var total usage
	for _, member := range family {
		total.cpuSeconds += member.cpuSeconds()
		total.rssKiB += float64(member.rssPages * os.Getpagesize() / 1024)
		entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(member.pid), "fd"))
		if err != nil {
			return usage{}, fmt.Errorf("counting descriptors: %w", err)
		}
		total.descriptors += len(entries)
	}
	return total, nil
}

// descendants returns pid's own status and that of all it forked.
func descendants(pid int) ([]procStat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]procStat{}
	var family []procStat
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		stat, err := parseProcStat(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if stat.pid == pid {
			family = append(family, stat)
		} else {
			children[stat.parent] = append(children[stat.parent], stat)
		}
	}
	if len(family) == 0 {
		return nil, fmt.Errorf("process %d has ended", pid)
	}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i].pid]...)
	}
	return family, nil
}

// procStat is what is used of /proc/<pid>/stat, see proc(5).
type procStat struct {
	pid, parent            int
	userTicks, systemTicks int
	rssPages               int
}

func (s procStat) cpuSeconds() float64 {
	return float64(s.userTicks+s.systemTicks) / ticksPerSecond
}

// parseProcStat reads one line of /proc/<pid>/stat. The command's name, second,
// is in brackets and may itself hold spaces and brackets.
func parseProcStat(content []byte) (procStat, error) {
	opening, closing := bytes.IndexByte(content, '('), bytes.LastIndexByte(content, ')')
	if opening < 0 || closing < opening {
		return procStat{}, errors.New("no command name")
	}
	fields := append([][]byte{content[:opening], nil}, bytes.Fields(content[closing+1:])...)
	var s procStat
	for number, into := range map[int]*int{1: &s.pid, 4: &s.parent, 14: &s.userTicks, 15: &s.systemTicks, 24: &s.rssPages} {
		if number > len(fields) {
			return procStat{}, fmt.Errorf("%d fields, want %d", len(fields), number)
		}
		value, err := strconv.Atoi(string(bytes.TrimSpace(fields[number-1])))
		if err != nil {
			return procStat{}, fmt.Errorf("field %d: %w", number, err)
		}
		*into = value
	}
	return s, nil
}
