//go:build !windows

package audit

import (
	"errors"
	"syscall"
)

func isTooLarge(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }

func isOtherKind(err error) bool { return errors.Is(err, syscall.EPROTOTYPE) }
