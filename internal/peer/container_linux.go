package peer

import (
	"io"
	"strings"
)

// maxCgroup bounds what is read of /proc/<pid>/cgroup: 20 lines of version 1's
// hierarchies, each with a path.
const maxCgroup = 64 << 10

// container is what the names of the process's control groups say: the
// container that it runs in and its Kubernetes pod, empty where they say
// nothing. Names are the runtime's word where the runtime made them; a user to
// whom a part of the tree was delegated can make such names as well.
func (p *process) container() (id, pod string) {
	f, err := p.open("cgroup")
	if err != nil {
		return "", ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCgroup))
	if err != nil {
		return "", ""
	}
	return parseCgroup(string(text))
}

// parseCgroup reads the format of cgroups(7), of both versions. The outermost
// container counts: what is below it, a process inside can make.
func parseCgroup(text string) (id, pod string) {
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok {
			continue
		}
		_, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		lineID, linePod := fromPath(path)
		if id == "" {
			id = lineID
		}
		if pod == "" {
			pod = linePod
		}
	}
	return id, pod
}

func fromPath(path string) (id, pod string) {
	for name := range strings.SplitSeq(path, "/") {
		if pod == "" && id == "" {
			pod = podOf(name)
		}
		if id = containerOf(name); id != "" {
			return id, pod
		}
	}
	return "", pod
}

const (
	idLength   = 64 // of a container's id, in hex
	maxMachine = 64 // the longest name of a machine: a host name's
)

// containerOf reads one name of a path. A container's group is its id, by
// itself (cgroupfs) or in a systemd scope that the runtime's name comes before:
// docker-ID.scope, libpod-ID.scope, cri-containerd-ID.scope, crio-ID.scope, and
// containerd's POD.slice:cri-containerd:ID.
func containerOf(name string) string {
	name = strings.TrimSuffix(name, ".scope")
	if at := len(name) - idLength; at >= 0 && isHex(name[at:]) {
		runtime, id := name[:at], name[at:]
		// A monitor of the runtime runs beside the container, not in it.
		named := strings.HasSuffix(runtime, "-") || strings.HasSuffix(runtime, ":")
		if runtime == "" || named && !strings.HasSuffix(runtime, "conmon-") {
			return id
		}
		return ""
	}
	return machineOf(name)
}

// machineOf is the name of a container of systemd-nspawn, by itself or
// registered with systemd-machined, or of LXC.
func machineOf(name string) string {
	for _, prefix := range []string{"systemd-nspawn@", "machine-", "lxc.payload."} {
		machine, ok := strings.CutPrefix(strings.TrimSuffix(name, ".service"), prefix)
		if !ok {
			continue
		}
		machine = strings.ReplaceAll(machine, `\x2d`, "-") // see systemd-escape(1)
		// libvirt's machines are programs of the host that emulate a computer.
		if len(machine) <= maxMachine && !strings.HasPrefix(machine, "qemu-") && !strings.HasSuffix(machine, ".slice") {
			return machine
		}
	}
	return ""
}

// podOf is the uid of a pod's group: podUID, or kubepods-besteffort-podUID.slice
// with its dashes written as underscores. Static pods have a hash instead.
func podOf(name string) string {
	name, _, _ = strings.Cut(name, ":")
	before, uid, ok := strings.Cut(strings.TrimSuffix(name, ".slice"), "pod")
	if strings.HasSuffix(before, "kube") { // kubepods-…
		_, uid, ok = strings.Cut(uid, "-pod")
	} else if before != "" {
		return ""
	}
	uid = strings.ReplaceAll(uid, "_", "-")
	if digits := strings.ReplaceAll(uid, "-", ""); !ok || len(digits) != 32 || len(uid) > 36 || !isHex(digits) {
		return ""
	}
	return uid
}

func isHex(text string) bool {
	return strings.Trim(text, "0123456789abcdef") == ""
}
