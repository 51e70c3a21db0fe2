// Package peer tells which local process is behind an accepted connection and
// whether it may connect. It runs before any byte of the connection is read.
//
// # What it knows
//
// For a unix socket the kernel recorded the user, the groups and the process
// at connect(2) (SO_PEERCRED, SO_PEERGROUPS, SO_PEERPIDFD). For TCP on
// loopback the kernel's socket diagnosis names the user who created the
// client's socket and the socket's inode; the processes that hold it are
// those with that inode among their descriptors in /proc. A client in another
// network namespace cannot reach our loopback, so it is never mistaken for a
// local one. Both work on Linux only; elsewhere a Policy refuses everyone and
// Supported says so at start.
//
// What cannot be found out is a refusal, never a pass.
//
// # What it cannot know
//
// Users and groups are a boundary that the kernel enforces. An executable is
// a guard against the wrong program, not against a program of an allowed user
// that is bent on evading it, which can:
//
//   - control an allowed program: ptrace, LD_PRELOAD, a configuration file,
//     a plug-in;
//   - connect, keep a copy of the socket in a child, and then exec the allowed
//     program, or pass the socket to anyone afterwards. For unix sockets the
//     process judged is the one that called connect(2), whoever holds the
//     socket now. For TCP every process that visibly holds the socket is
//     judged, but a descriptor in flight between processes, in an io_uring or
//     in a thread with a descriptor table of its own is not visible in /proc;
//   - run a script: the executable is then the interpreter, so that allowing
//     /usr/bin/python3 allows every Python script.
//
// A forwarder (ssh -L, socat, kubectl port-forward, a container runtime's
// proxy) is itself the peer, on behalf of whoever reaches it.
//
// Ids are those of the broker's user namespace. A user that has no id there
// appears as the overflow id, usually 65534: do not allow that one
// ("nobody") to a broker in a user namespace.
//
// On kernels before 6.5, which lack SO_PEERPIDFD, a process that exited
// between connect(2) and the check can have its pid taken by another of the
// same user; the fallback demands the same user and one and the same process
// throughout the check, and cannot see further back.
package peer
