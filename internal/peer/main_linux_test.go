package peer

import (
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// helperVar makes the test binary play a client instead of running tests.
const helperVar = "PEER_TEST_CLIENT"

func TestMain(m *testing.M) {
	if mode := os.Getenv(helperVar); mode != "" {
		if err := play(mode, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// play is a client process: it connects to args[0]://args[1], says so with a
// line, and lives until its standard input ends.
func play(mode string, args []string) error {
	if mode == "hold" { // the socket is inherited
		return untilEOF()
	}
	d := net.Dialer{}
	d.SetMultipathTCP(mode == "mptcp")
	conn, err := d.Dial(args[0], args[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	switch mode {
	case "dial", "mptcp":
		fmt.Println("connected")
		return untilEOF()
	case "share", "handoff": // args[2] is the program that inherits
		return inherit(conn, args[2], mode == "share")
	}
	return fmt.Errorf("unknown mode %q", mode)
}
