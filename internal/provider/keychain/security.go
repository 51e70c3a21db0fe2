//go:build unix

package keychain

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"secretless/internal/secret"
)

// maxOutput bounds what is read of the program: a value of 1 MiB in hexadecimal.
const maxOutput = 2<<20 + 64

// securityProgram is macOS' /usr/bin/security. Its arguments are the id, which
// is no secret. A window of the system that waits for the user ends with the
// program, at the lookup's deadline.
type securityProgram struct {
	path      string
	lookupEnv func(string) (string, bool)
}

func (p securityProgram) open(context.Context) (session, error) { return p, nil }
func (p securityProgram) close()                                {}

// read asks for the value alone (-w). The program prints values that have
// anything but printable ASCII in hexadecimal and does not say so; where a value
// could be either, the other form of output (-g) tells.
func (p securityProgram) read(ctx context.Context, i item) (secret.Value, error) {
	out, _, err := p.run(ctx, i, "-w")
	if err != nil {
		return secret.Value{}, err
	}
	value := bytes.TrimSuffix(out, []byte("\n"))
	decoded, ambiguous := fromHex(value)
	if !ambiguous {
		return secret.New(value), nil
	}
	_, report, err := p.run(ctx, i, "-g")
	if err != nil {
		clear(out)
		clear(decoded)
		return secret.Value{}, err
	}
	defer clear(report)
	if bytes.Contains(report, []byte("password: 0x")) {
		clear(out)
		return secret.New(decoded), nil
	}
	clear(decoded)
	return secret.New(value), nil
}

// fromHex decodes what the program may have printed in hexadecimal; ok is false
// where it has not.
func fromHex(text []byte) (decoded []byte, ok bool) {
	decoded = make([]byte, hex.DecodedLen(len(text)))
	if len(text) == 0 || len(text)%2 != 0 || !isLowerHex(text) {
		return nil, false
	}
	_, _ = hex.Decode(decoded, text)
	if bytes.ContainsFunc(decoded, func(r rune) bool { return r < ' ' || r > '~' }) {
		return decoded, true
	}
	clear(decoded)
	return nil, false
}

func isLowerHex(text []byte) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (p securityProgram) run(ctx context.Context, i item, form string) (out, report []byte, err error) {
	cmd := exec.CommandContext(ctx, p.path, "find-generic-password", "-s", i.service, "-a", i.account, form)
	cmd.WaitDelay = time.Second
	// The broker's own environment may hold secrets of its own.
	cmd.Env = []string{}
	for _, name := range []string{"HOME", "USER", "LOGNAME", "TMPDIR"} {
		if value, ok := p.lookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		clear(stdout.b)
		clear(stderr.b)
		return nil, nil, programError(err)
	}
	return stdout.b, stderr.b, nil
}

// programError says what an exit status means: it is the low byte of the
// system's own code. What the program prints is left out.
func programError(err error) error {
	e, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("running the keychain's program: %w", err)
	}
	switch e.ExitCode() {
	case 44: // errSecItemNotFound
		return errNotFound
	case 36: // errSecInteractionNotAllowed
		return errLocked
	case 51, 128: // errSecAuthFailed, errSecUserCanceled
		return errors.New("the keychain was not allowed to give the item away: allow /usr/bin/security to read it")
	}
	return fmt.Errorf("the keychain's program ended with status %d", e.ExitCode())
}

// bounded keeps what is written to it, and wipes what it leaves when it grows.
type bounded struct{ b []byte }

func (w *bounded) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > maxOutput {
		return 0, errors.New("too much output")
	}
	if len(w.b)+len(p) > cap(w.b) {
		grown := append(make([]byte, 0, 2*(len(w.b)+len(p))), w.b...)
		clear(w.b)
		w.b = grown
	}
	w.b = append(w.b, p...)
	return len(p), nil
}
