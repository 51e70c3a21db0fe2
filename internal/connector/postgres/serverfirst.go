package postgres

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// maxSalt bounds a salt; PostgreSQL's own have 16 bytes.
const maxSalt = 1024

// serverFirst is what the broker must know of a target's first SCRAM message
// before it lets the library pay for it.
type serverFirst struct {
	salt       string // decoded
	iterations int
}

var (
	errServerFirst = errors.New("first message is not r=…,s=…,i=…")
	errSalt        = errors.New("salt is not acceptable")
)

// parseServerFirst reads server-first-message of RFC 5802, section 7, in the
// places where the library reads it, and more strictly.
func parseServerFirst(text string) (serverFirst, error) {
	fields := strings.SplitN(text, ",", 4)
	if len(fields) < 3 || !strings.HasPrefix(fields[0], "r=") {
		return serverFirst{}, errServerFirst
	}
	encoded, isSalt := strings.CutPrefix(fields[1], "s=")
	count, isCount := strings.CutPrefix(fields[2], "i=")
	if !isSalt || !isCount {
		return serverFirst{}, errServerFirst
	}
	if len(encoded) == 0 || len(encoded) > maxSalt {
		return serverFirst{}, errSalt
	}
	salt, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(salt) == 0 {
		return serverFirst{}, errSalt
	}
	iterations, err := strconv.ParseUint(count, 10, 31)
	if err != nil || iterations == 0 {
		return serverFirst{}, errServerFirst
	}
	return serverFirst{salt: string(salt), iterations: int(iterations)}, nil
}
