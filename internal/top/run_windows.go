package top

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// Interactive says whether the platform has a view for terminals.
const Interactive = false

// ResizeSignal never comes.
const ResizeSignal = syscall.Signal(0x1c)

// RunOptions are those of Run.
type RunOptions struct {
	Source   Source
	In, Out  *os.File
	Interval time.Duration
	Signals  <-chan os.Signal
}

// Run does not work here.
func Run(context.Context, RunOptions) (os.Signal, error) { return nil, errors.ErrUnsupported }
