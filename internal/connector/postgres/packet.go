package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Codes that stand where a startup packet has its protocol version.
const (
	codeCancel = 1234<<16 | 5678
	codeSSL    = 1234<<16 | 5679
	codeGSSENC = 1234<<16 | 5680
)

const (
	// maxStartup bounds a startup packet without its length word, as
	// PostgreSQL does.
	maxStartup = 10_000
	// maxCancelKey is protocol 3.2's longest cancel key.
	maxCancelKey = 256
	protocol3    = 3
)

// parameter is one name and value of a startup packet.
type parameter struct{ name, value string }

// startup is a startup packet. pgproto3's type is not used: it forgets the
// order of the parameters and refuses minor versions newer than itself, which
// are the target's to negotiate.
type startup struct {
	version    uint32
	parameters []parameter
}

var errStartupLayout = errors.New("startup packet is not a list of names and values")

// parseStartup reads a startup packet without its length word.
func parseStartup(packet []byte) (startup, error) {
	if len(packet) < 4 {
		return startup{}, errStartupLayout
	}
	out := startup{version: binary.BigEndian.Uint32(packet)}
	rest := packet[4:]
	for {
		name, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return startup{}, errStartupLayout
		}
		if len(name) == 0 {
			if len(after) > 0 {
				return startup{}, errStartupLayout
			}
			return out, nil
		}
		value, after, ok := bytes.Cut(after, []byte{0})
		if !ok {
			return startup{}, errStartupLayout
		}
		out.parameters = append(out.parameters, parameter{string(name), string(value)})
		rest = after
	}
}

// get returns the last value of a parameter, as PostgreSQL does where a name
// comes twice. Names of connection parameters are compared exactly.
func (s startup) get(name string) string {
	for i := len(s.parameters) - 1; i >= 0; i-- {
		if s.parameters[i].name == name {
			return s.parameters[i].value
		}
	}
	return ""
}

// encode appends the packet with its length word. A NUL in a value would start
// a new parameter, for instance another user, so it is refused. Errors name
// parameters, not values.
func (s startup) encode(dst []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, s.version)
	for _, p := range s.parameters {
		if p.name == "" || strings.ContainsRune(p.name, 0) || strings.ContainsRune(p.value, 0) {
			return nil, fmt.Errorf("startup parameter %q is empty or holds a NUL byte", p.name)
		}
		dst = append(append(dst, p.name...), 0)
		dst = append(append(dst, p.value...), 0)
	}
	dst = append(dst, 0)
	length := len(dst) - start
	if length-4 > maxStartup {
		return nil, fmt.Errorf("startup parameters take %d bytes, more than the %d that PostgreSQL accepts", length-4, maxStartup)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(length))
	return dst, nil
}
