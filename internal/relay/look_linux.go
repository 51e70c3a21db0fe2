package relay

import (
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// question asks a loop about some of its pairs. The loop writes the answers to
// out, at the places that at names, and closes done.
type question struct {
	pairs   []*pair
	at      []int
	out     []Progress
	details bool
	done    chan struct{}
}

// look asks the loops about those handles that are theirs, and returns the
// places of the others. Their counters belong to the loops, which would pay for
// sharing them with every message.
func (ls *loops) look(handles []Handle, out []Progress, details bool) (rest []int) {
	mine := map[*loop]*question{}
	for n, h := range handles {
		p, ok := h.(*pair)
		if !ok {
			rest = append(rest, n)
			continue
		}
		q := mine[p.loop]
		if q == nil {
			q = &question{out: out, details: details}
			mine[p.loop] = q
		}
		q.pairs, q.at = append(q.pairs, p), append(q.at, n)
	}
	size := lookBatch
	if details {
		size = detailBatch
	}
	for l, q := range mine {
		for from := 0; from < len(q.pairs); from += size {
			to := min(from+size, len(q.pairs))
			part := &question{q.pairs[from:to], q.at[from:to], out, details, make(chan struct{})}
			l.post(command{what: look, question: part})
			<-part.done
		}
	}
	return rest
}

// answer runs on the loop, or when it has gone.
func (q *question) answer() {
	defer close(q.done)
	for n, p := range q.pairs {
		q.out[q.at[n]] = p.progress(q.details)
	}
}

func (p *pair) progress(details bool) Progress {
	if p.elsewhere != nil {
		return p.elsewhere.(asker).progress(details) //nolint:forcetypeassert // it is a copier
	}
	out := Progress{ToTarget: p.flows[Client].moved, ToClient: p.flows[Target].moved, Idle: unknownIdle}
	if !details || p.ended {
		return out
	}
	if p.idle > 0 {
		out.Idle = time.Duration(p.loop.now-p.last) * tick
	} else {
		out.Idle = shortest(p.sides[Client].silence(), p.sides[Target].silence())
	}
	out.Target = remoteName(int(p.sides[Target].fd))
	return out
}

// silence asks the kernel, which keeps the time of TCP anyway.
func (s *side) silence() time.Duration {
	if !s.tcp {
		return unknownIdle
	}
	return tcpSilence(int(s.fd))
}

func tcpSilence(fd int) time.Duration {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return unknownIdle
	}
	return time.Duration(min(info.Last_data_recv, info.Last_data_sent)) * time.Millisecond
}

// silenceOf is for how long nothing has passed over the TCP connection below c.
func silenceOf(c net.Conn) time.Duration {
	tcp, ok := transport(c).(*net.TCPConn)
	if !ok {
		return unknownIdle
	}
	var idle time.Duration = unknownIdle
	if raw, err := syscall.Conn(tcp).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { idle = tcpSilence(int(fd)) }) // fails on a closed one only
	}
	return idle
}

// remoteName is the address of a socket's peer.
func remoteName(fd int) string {
	address, err := unix.Getpeername(fd)
	if err != nil {
		return ""
	}
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)).String()
	case *unix.SockaddrUnix:
		return a.Name
	}
	return ""
}
