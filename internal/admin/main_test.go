package admin_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// connectAs makes the test's own program connect to a path and say what it got.
const connectAs = "SECRETLESS_TEST_CONNECT"

func TestMain(m *testing.M) {
	if path := os.Getenv(connectAs); path != "" {
		os.Exit(beClient(path))
	}
	goleak.VerifyTestMain(m)
}

func beClient(path string) int {
	c, err := net.Dial("unix", path)
	if err != nil {
		println(err.Error())
		return 1
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(c)
	if len(answer) > 0 {
		println("answered")
		return 2
	}
	println("nothing", err != nil)
	return 0
}
