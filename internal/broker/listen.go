package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Listen opens a single listener for something that is no service, such as
// health checks. A unix socket gets mode 0600 and follows the same rules as a
// service's; closing the listener removes it.
func Listen(a Address) (net.Listener, error) {
	var b Broker
	binds, err := bindsOf(a, "")
	if err == nil && a.Network == "systemd" {
		err = errors.New("use tcp or unix")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", a, err)
	}
	mine := &Service{Socket: Socket{Mode: 0o600, UID: -1, GID: -1}}
	opened, err := b.open(context.Background(), mine, socket{a, binds[:1]})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", a, err)
	}
	return &single{Listener: opened[0].ln, file: opened[0].file}, nil
}

// single is a listener that takes its socket file with it.
type single struct {
	net.Listener
	file *socketFile
}

func (s *single) Close() error {
	if s.file != nil {
		_ = s.file.remove()
	}
	return s.Listener.Close()
}

// open binds the sockets of want. It leaves nothing behind when it fails.
func (b *Broker) open(ctx context.Context, svc *Service, want socket) (opened []*endpoint, err error) {
	var chosen string // the port that the system chose for the first
	for _, one := range want.binds {
		ln, file, err := b.listen(ctx, svc, want.written.Network, one, chosen)
		if one.optional && (missing(err) || chosen != "" && inUse(err)) {
			continue
		}
		if err != nil {
			for _, e := range opened {
				_ = e.ln.Close()
			}
			return nil, explain(err, one)
		}
		opened = append(opened, b.newEndpoint(one.key, want.written, ln, file))
		if tcp, ok := ln.Addr().(*net.TCPAddr); ok && one.port == "0" {
			chosen = strconv.Itoa(tcp.Port)
		}
	}
	return opened, nil
}

func (b *Broker) listen(ctx context.Context, svc *Service, network string, one bind, chosen string) (net.Listener, *socketFile, error) {
	switch network {
	case "unix":
		return listenUnix(ctx, one.name, svc.Socket)
	case "systemd":
		ln, err := b.systemd.listen(one.name)
		return ln, nil, err
	}
	var config net.ListenConfig
	if ip, err := netip.ParseAddr(one.host); err == nil && ip.IsLoopback() {
		// The kernel tells of every death on this machine; probing would only
		// cost four system calls a connection.
		config.KeepAlive = -1
	}
	ln, err := config.Listen(ctx, "tcp", net.JoinHostPort(one.host, cmp.Or(chosen, one.port)))
	return ln, nil, err
}

func (b *Broker) newEndpoint(key string, written Address, ln net.Listener, file *socketFile) *endpoint {
	tcp, ok := ln.Addr().(*net.TCPAddr)
	return &endpoint{
		key: key, written: written, ln: ln, file: file, address: ln.Addr().String(),
		log: b.log, quit: make(chan struct{}), wildcard: ok && tcp.IP.IsUnspecified(),
	}
}

// missing says that the machine does not have that address: ::1 where IPv6 is
// switched off.
func missing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// explain says what to do about err.
func explain(err error, one bind) error {
	var dns *net.DNSError
	switch {
	case one.port == "":
		return err
	case inUse(err):
		return fmt.Errorf("port %s is in use: stop the program that has it (ss -tanp 'sport = :%s' names it) or choose another: %w", one.port, one.port, err)
	case missing(err):
		return fmt.Errorf("%s is not an address of this machine: %w", one.host, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %s needs a privilege (CAP_NET_BIND_SERVICE): choose one from 1024 on, or use socket activation: %w", one.port, err)
	case errors.As(err, &dns):
		return fmt.Errorf("the host name has no address: %w", err)
	}
	return err
}
