package harden

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ask runs the filter. The machine of package bpf reads big-endian words where
// the kernel reads its own; data is cut behind the words that are given, and a
// filter that reads beyond gets 0 (SECCOMP_RET_KILL_THREAD).
func ask(t *testing.T, program []bpf.Instruction, arch, call uint32, args ...uint64) uint32 {
	t.Helper()
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	data := binary.BigEndian.AppendUint32(nil, call)
	data = binary.BigEndian.AppendUint32(data, arch)
	if len(args) > 0 {
		data = append(data, make([]byte, dataArgs-len(data))...)
	}
	for _, a := range args {
		data = binary.BigEndian.AppendUint32(data, uint32(a))
		data = binary.BigEndian.AppendUint32(data, uint32(a>>32))
	}
	answer, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(answer)
}

func TestOtherMachinesCalls(t *testing.T) {
	needsFilter(t)
	p := filterProgram(refusedCalls(true), false)
	for _, arch := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_RISCV64} {
		if got := ask(t, p, arch, unix.SYS_READ); got != unix.SECCOMP_RET_KILL_PROCESS {
			t.Errorf("machine %x: %x, want the process to be ended", arch, got)
		}
	}
	if foreignBit == 0 {
		return
	}
	const enosys = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	if got := ask(t, p, nativeArch, unix.SYS_PTRACE|foreignBit); got != enosys {
		t.Errorf("x32's ptrace: %x, want ENOSYS", got)
	}
}

// TestHotCallsDoNotRunTheFilter finds the answer without looking at arguments:
// the kernel then keeps it in a bitmap.
func TestHotCallsDoNotRunTheFilter(t *testing.T) {
	needsFilter(t)
	for _, strict := range []bool{false, true} {
		p := filterProgram(refusedCalls(false), strict)
		for _, call := range []uint32{
			unix.SYS_READ, unix.SYS_WRITE, unix.SYS_WRITEV, unix.SYS_SPLICE, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_EPOLL_PWAIT,
			unix.SYS_EPOLL_CTL, unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_ACCEPT4, unix.SYS_CONNECT, unix.SYS_CLOSE,
			unix.SYS_SHUTDOWN, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_MMAP, unix.SYS_MADVISE, unix.SYS_OPENAT,
		} {
			if got := ask(t, p, nativeArch, call); got != unix.SECCOMP_RET_ALLOW {
				t.Errorf("system call %d: %x, want it allowed whatever its arguments", call, got)
			}
		}
		for _, call := range refusedCalls(false) {
			if got := ask(t, p, nativeArch, call); got != unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM) {
				t.Errorf("system call %d: %x, want EPERM whatever its arguments", call, got)
			}
		}
		const most = 4096
		if raw, err := bpf.Assemble(p); err != nil || len(raw) > most {
			t.Errorf("%d instructions, %v", len(raw), err)
		}
	}
}
