package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

var errPortTaken = errors.New("somebody else has its port")

// onFreePorts calls start until the ports that it has chosen are not taken by
// somebody else meanwhile.
func onFreePorts(ports []*int, ipv6 bool, start func() error) error {
	var err error
	for range 10 {
		for _, port := range ports {
			if *port, err = freePort(ipv6); err != nil {
				return err
			}
		}
		if err = start(); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

// freePort looks below the range that the kernel gives to outgoing
// connections, which would take the port before the server does.
func freePort(ipv6 bool) (int, error) {
	for range 200 {
		port := 20000 + rand.IntN(10000)
		if canListen("127.0.0.1", port) && (!ipv6 || canListen("::1", port)) {
			return port, nil
		}
	}
	return 0, errors.New("no free port between 20000 and 30000")
}

func canListen(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// FreePort is a port of 127.0.0.1 for a program under test. It is below the
// range that the kernel gives to outgoing connections, and beside the one of the
// test servers: another connection would take it before the program does.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		if port := 10000 + rand.IntN(10000); canListen("127.0.0.1", port) {
			return port
		}
	}
	t.Fatal("no free port between 10000 and 20000")
	return 0
}

// loopback is where a server listens, as PostgreSQL and MariaDB take it.
func loopback(ipv6 bool) string {
	if ipv6 {
		return "127.0.0.1,::1"
	}
	return "127.0.0.1"
}

// hasIPv6 tells whether ::1 can be listened on.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
