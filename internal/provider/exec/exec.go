// Package exec is the provider that asks a command: the door to every vault
// that has a command line.
package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"secretless/internal/provider"
)

const (
	// cacheFor is how long values live where the instance does not say: a
	// command is a process, and often a request over the network.
	cacheFor = time.Minute
	// maxRunning bounds an instance's processes at a time.
	maxRunning = 8
	// maxRef bounds an id, which in the summon protocol is an argument.
	maxRef = 4096
)

// Protocols: how a command is asked and answers.
const (
	ProtocolJSON   = "json"
	ProtocolSummon = "summon"
)

// Config is an instance's own settings.
type Config struct {
	Command  []string `yaml:"command" required:"true" example:"[/usr/local/lib/secretless/pass]" doc:"absolute path of the program and its arguments; no shell reads them"`
	Env      []string `yaml:"env" doc:"names of environment variables of the broker that the command gets beside HOME and a fixed PATH"`
	Protocol string   `yaml:"protocol" default:"json" enum:"json,summon" doc:"json: one call, ids and values as JSON; summon: one call an id, which is the last argument, and the output is the value"`
}

// Definition is the provider's entry in the table.
func Definition() provider.Definition {
	return provider.Define(provider.Definition{
		Summary:       "a command that prints secrets",
		Ref:           "an id that the command knows",
		Cache:         cacheFor,
		CheckRef:      checkRef,
		NeedsInstance: true,
	}, build)
}

// checkRef refuses what could not be asked for in either protocol.
func checkRef(ref string) error {
	switch {
	case ref == "":
		return errors.New("id is empty")
	case len(ref) > maxRef:
		return fmt.Errorf("id has %d bytes, more than %d", len(ref), maxRef)
	case !utf8.ValidString(ref):
		return errors.New("id is no valid UTF-8")
	case strings.ContainsFunc(ref, unicode.IsControl):
		return errors.New("id has control characters")
	}
	return nil
}

func build(c Config, s provider.Setup) (provider.Provider, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	environ, unset := environment(c.Env, s.LookupEnv)
	p := &commands{
		instance: s.Name,
		command:  command{argv: c.Command, environ: environ},
		unset:    unset,
		tokens:   tokens(environ, c.Env),
		log:      &lineLog{log: s.Log},
		slots:    make(chan struct{}, maxRunning),
	}
	if c.Protocol == ProtocolSummon {
		return summon{p}, nil
	}
	return p, nil
}

func (c Config) check() error {
	switch {
	case len(c.Command) == 0 || c.Command[0] == "":
		return errors.New("command is empty: write [/path/of/the/program, argument, …]")
	case !filepath.IsAbs(c.Command[0]):
		return fmt.Errorf("command must begin with an absolute path, not %q: a name would be looked up on a PATH that others may control", c.Command[0])
	case slices.ContainsFunc(c.Command, func(s string) bool { return strings.ContainsRune(s, 0) }):
		return errors.New("command has a NUL byte")
	}
	for _, name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env has %q: write names of variables only, without $ and without a value", name)
		}
	}
	return nil
}

// commands is an instance that speaks JSON.
type commands struct {
	instance string
	command  command
	unset    []string
	tokens   []string // values of variables that must not get into the log
	log      *lineLog
	slots    chan struct{}
}

// Fetch asks for all refs in one call of the command.
func (p *commands) Fetch(ctx context.Context, refs []string) (map[string]provider.Lease, error) {
	if len(refs) == 0 {
		return map[string]provider.Lease{}, ctx.Err()
	}
	for _, ref := range refs {
		if err := checkRef(ref); err != nil {
			return nil, p.fail(err, ref)
		}
	}
	question, err := json.Marshal(struct {
		IDs []string `json:"ids"`
	}{refs})
	if err != nil {
		return nil, p.fail(err)
	}
	out, err := p.run(ctx, p.command, append(question, '\n'))
	defer out.wipe()
	leases, parseErr := parseAnswer(out.stdout)
	p.logStderr(out, leases, errors.Join(err, parseErr))
	if err = first(err, parseErr); err == nil {
		err = pick(leases, refs)
	}
	if err != nil {
		wipe(leases)
		return nil, p.fail(err, missingOf(err)...)
	}
	return leases, nil
}

// run waits for one of the instance's slots and runs c in it.
func (p *commands) run(ctx context.Context, c command, stdin []byte) (output, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return output{}, fmt.Errorf("waiting for one of %d running commands to end: %w", maxRunning, ctx.Err())
	}
	out, err := c.run(ctx, p.log.log, stdin)
	if exit, ok := errors.AsType[*ExitError](err); ok {
		exit.Unset = p.unset
	}
	return out, err
}

// logStderr logs what the command had to say, without the values it answered.
func (p *commands) logStderr(out output, leases map[string]provider.Lease, err error) {
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
	}
	r := redactor{}
	for _, token := range p.tokens {
		r.hide([]byte(token))
	}
	for _, l := range leases {
		r.value(l.Value.Bytes())
	}
	if err != nil { // who knows what that was
		r.words(out.stdout)
	}
	p.log.write(level, r.clean(out.stderr), out.dropped)
}

func (p *commands) fail(err error, refs ...string) error {
	exit, ok := errors.AsType[*ExitError](err)
	return &provider.Error{
		Provider: p.instance, Ref: strings.Join(refs, ", "), Err: err,
		Transient: ok && exit.Status == TemporaryFailure,
	}
}

// pick drops what was not asked for, and fails when something is missing.
func pick(leases map[string]provider.Lease, refs []string) error {
	var missing []string
	for _, ref := range refs {
		if _, ok := leases[ref]; !ok {
			missing = append(missing, ref)
		}
	}
	if missing != nil {
		return &MissingError{missing}
	}
	for id, l := range leases {
		if !slices.Contains(refs, id) {
			l.Value.Wipe()
			delete(leases, id)
		}
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func wipe(leases map[string]provider.Lease) {
	for _, l := range leases {
		l.Value.Wipe()
	}
}
