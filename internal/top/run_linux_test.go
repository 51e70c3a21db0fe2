package top

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broken is a source that breaks down when it is asked: there is none in it.
type broken struct{ Source }

// Trouble inside is an error, with the terminal as it was.
func TestPanicLeavesTheTerminalAsItWas(t *testing.T) {
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	defer func() { _ = user.Close() }()
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	seen := make(chan string)
	go func() {
		all, _ := io.ReadAll(user) // ends with an error when the other side is closed
		seen <- string(all)
	}()
	_, err = Run(t.Context(), RunOptions{Source: broken{}, In: tty, Out: tty, Interval: time.Minute})
	if err == nil || !strings.HasPrefix(err.Error(), "asking the broker broke down: a runtime.") {
		t.Errorf("got %v", err)
	}
	if after, _ := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); *after != *before {
		t.Error("the terminal's mode is another than before")
	}
	_ = tty.Close()
	if text := <-seen; !strings.HasSuffix(text, leaveScreen) {
		t.Errorf("the screen is not left: %q", text)
	}
}
