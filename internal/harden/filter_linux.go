package harden

import (
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Places in struct seccomp_data. Arguments have 64 bits; where one is looked
// at, the kernel looks at its lower half, which comes first on the machines
// that there is a filter for.
const (
	dataCall = 0
	dataArch = 4
	dataArgs = 16
)

const wordSize = 4

// namespaces are the flags of clone that make one.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

const (
	protocolMPTCP   = 262
	samePersonality = 0xffffffff // asks for the present one
	tiocLinux       = 0x541c     // TIOCLINUX
)

// filterProgram is the filter, nil where there is none for the machine.
//
// The kernel works out once for each system call whether the answer depends on
// its arguments. For those where it does not, reads, writes and polls among
// them, it then asks a bitmap and does not run the filter; that is why what
// looks at arguments comes last and belongs to calls that are rare.
func filterProgram(refused []uint32, strict bool) []bpf.Instruction {
	if nativeArch == 0 {
		return nil
	}
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: dataArch, Size: wordSize},
		// Another machine's calls, such as 32-bit ones, have other numbers.
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: nativeArch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: dataCall, Size: wordSize},
	}
	if foreignBit != 0 {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: foreignBit, SkipTrue: 1}, fail(unix.ENOSYS))
	}
	for _, call := range refused {
		p = append(p, onCall(call, fail(unix.EPERM))...)
	}
	// Its flags are in memory, which a filter cannot read: who gets ENOSYS
	// uses clone.
	p = append(p, onCall(unix.SYS_CLONE3, fail(unix.ENOSYS))...)
	for _, f := range byArgument(strict) {
		p = append(p, onCall(f.call, f.body...)...)
	}
	return append(p, allow)
}

var allow = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}

func fail(errno unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

// onCall is body for one system call. The body ends with an answer.
func onCall(call uint32, body ...bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: uint8(len(body))}}, body...)
}

func argument(n uint32) bpf.Instruction {
	const size = 8
	return bpf.LoadAbsolute{Off: dataArgs + n*size, Size: wordSize}
}

// onValue answers if the argument that was loaded last has the value.
func onValue(value uint32, answer bpf.Instruction) []bpf.Instruction {
	return []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value, SkipTrue: 1}, answer}
}

// byArgument are the calls that are refused with certain arguments.
func byArgument(strict bool) []callFilter {
	return []callFilter{
		{unix.SYS_SOCKET, socketFilter(strict)},
		{unix.SYS_CLONE, []bpf.Instruction{
			argument(0),
			bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: namespaces, SkipTrue: 1},
			fail(unix.EPERM),
			allow,
		}},
		// What pushes input into a terminal, where a shell would read it.
		{unix.SYS_IOCTL, slices.Concat(
			[]bpf.Instruction{argument(1)},
			onValue(unix.TIOCSTI, fail(unix.EPERM)),
			onValue(tiocLinux, fail(unix.EPERM)),
			[]bpf.Instruction{allow},
		)},
		{unix.SYS_PERSONALITY, slices.Concat(
			[]bpf.Instruction{argument(0)},
			onValue(0, allow),
			onValue(samePersonality, allow),
			[]bpf.Instruction{fail(unix.EPERM)},
		)},
		// Nobody makes the process dumpable again.
		{unix.SYS_PRCTL, []bpf.Instruction{
			argument(0),
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PR_SET_DUMPABLE, SkipTrue: 3},
			argument(1),
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
			fail(unix.EPERM),
			allow,
		}},
	}
}

// callFilter is what to do about one call; body ends with an answer.
type callFilter struct {
	call uint32
	body []bpf.Instruction
}

// socketFilter leaves local sockets, IP, and of netlink what tells about
// sockets, routes and devices: the kernel has many more families, which are
// seldom used and were often broken. Strict has Landlock look at TCP's ports,
// which it does not do for MPTCP.
func socketFilter(strict bool) []bpf.Instruction {
	p := []bpf.Instruction{argument(2)}
	if strict {
		p = append(p, onValue(protocolMPTCP, fail(unix.EPROTONOSUPPORT))...)
	}
	p = append(p, argument(0))
	for _, family := range []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6} {
		p = append(p, onValue(family, allow)...)
	}
	p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_NETLINK, SkipTrue: 1}, fail(unix.EAFNOSUPPORT), argument(2))
	for _, protocol := range []uint32{unix.NETLINK_ROUTE, unix.NETLINK_SOCK_DIAG, unix.NETLINK_KOBJECT_UEVENT} {
		p = append(p, onValue(protocol, allow)...)
	}
	return append(p, fail(unix.EPROTONOSUPPORT))
}
