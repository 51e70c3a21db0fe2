package peer

import (
	"os"
	"strings"
	"testing"
)

const (
	hexID = "4b1f0e3d6c5a49788796a5b4c3d2e1f00112233445566778899aabbccddeeff0"
	uid   = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
)

func TestParseCgroup(t *testing.T) {
	under := strings.ReplaceAll(uid, "-", "_")
	for name, c := range map[string]struct{ text, id, pod string }{
		"none":              {"0::/user.slice/user-1000.slice/session-3.scope\n", "", ""},
		"empty":             {"", "", ""},
		"own namespace":     {"0::/\n", "", ""},
		"docker, systemd":   {"0::/system.slice/docker-" + hexID + ".scope\n", hexID, ""},
		"docker, version 1": {"12:pids:/docker/" + hexID + "\n11:cpu,cpuacct:/docker/" + hexID + "\n1:name=systemd:/docker/" + hexID + "\n", hexID, ""},
		"inside of docker":  {"0::/system.slice/docker-" + hexID + ".scope/init/docker-" + strings.Repeat("0", 64) + ".scope\n", hexID, ""},
		"podman":            {"0::/machine.slice/libpod-" + hexID + ".scope/container\n", hexID, ""},
		"rootless podman":   {"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + hexID + ".scope\n", hexID, ""},
		"podman's monitor":  {"0::/machine.slice/libpod-conmon-" + hexID + ".scope\n", "", ""},
		"cri-o's monitor":   {"0::/kubepods.slice/crio-conmon-" + hexID + ".scope\n", "", ""},
		"containerd":        {"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + under + ".slice/cri-containerd-" + hexID + ".scope\n", hexID, uid},
		"guaranteed":        {"0::/kubepods.slice/kubepods-pod" + under + ".slice/cri-containerd-" + hexID + ".scope\n", hexID, uid},
		"containerd, colon": {"0::/system.slice/containerd.service/kubepods-burstable-pod" + under + ".slice:cri-containerd:" + hexID + "\n", hexID, uid},
		"cri-o":             {"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + under + ".slice/crio-" + hexID + ".scope\n", hexID, uid},
		"cgroupfs":          {"4:memory:/kubepods/burstable/pod" + uid + "/" + hexID + "\n", hexID, uid},
		"static pod":        {"0::/kubepods/burstable/pod" + hexID[:32] + "/" + hexID + "\n", hexID, hexID[:32]},
		"from a sidecar":    {"0::/../cri-containerd-" + hexID + ".scope\n", hexID, ""},
		"from another pod":  {"0::/../../kubepods-pod" + under + ".slice/cri-containerd-" + hexID + ".scope\n", hexID, uid},
		"nspawn":            {"0::/machine.slice/systemd-nspawn@build.service/payload/system.slice/ssh.service\n", "build", ""},
		"machined":          {`0::/machine.slice/machine-web\x2d1.scope` + "\n", "web-1", ""},
		"libvirt":           {`0::/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt` + "\n", "", ""},
		"lxc":               {"0::/lxc.payload.web/system.slice/nginx.service\n", "web", ""},
		"short id":          {"0::/docker/abcdef012345\n", "", ""},
		"capitals":          {"0::/docker/" + strings.ToUpper(hexID) + "\n", "", ""},
		"two colons short":  {"0:\n:\n\n", "", ""},
		"hidden":            {"0::/user.slice/x" + hexID + "\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if id, pod := parseCgroup(c.text); id != c.id || pod != c.pod {
				t.Errorf("got container %q pod %q, want %q %q", id, pod, c.id, c.pod)
			}
		})
	}
}

// A name is one of few forms, so that what a process can choose stays small and
// without surprises.
func FuzzParseCgroup(f *testing.F) {
	f.Add("0::/system.slice/docker-" + hexID + ".scope\n")
	f.Add("4:memory:/kubepods/burstable/pod" + uid + "/" + hexID + "\n")
	f.Add(`0::/machine.slice/machine-web\x2d1.scope`)
	f.Fuzz(func(t *testing.T, text string) {
		id, pod := parseCgroup(text)
		if len(id) > maxMachine || len(pod) > 36 {
			t.Errorf("container %q pod %q", id, pod)
		}
		if strings.ContainsAny(id+pod, "/\n") {
			t.Errorf("container %q pod %q", id, pod)
		}
	})
}

// The file of a real process is read through its open directory.
func TestContainerOfAProcess(t *testing.T) {
	p, err := openProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip(err)
	}
	id, pod := p.container()
	if wantID, wantPod := parseCgroup(string(text)); id != wantID || pod != wantPod {
		t.Errorf("got %q %q, want %q %q", id, pod, wantID, wantPod)
	}
}
