package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"secretless/internal/secret"
	"secretless/internal/stage"
)

// Ref is one credential of a service.
type Ref struct {
	// Name is the credential's name in the service.
	Name string
	// Instance is asked for Get; nil means that Literal is the value.
	Instance *Instance
	Get      string
	// Literal belongs to the Credentials from NewCredentials on.
	Literal secret.Value
}

// Credentials resolves what one service needs: the Resolver's face towards
// connectors. Safe for concurrent use.
type Credentials struct {
	service string
	groups  []*group
	names   int // how many there are
	log     *slog.Logger
	breaker *breaker
	changes *changes // nil where nobody wants to know
	close   func()

	mu       sync.RWMutex // guards literals
	closed   bool
	literals map[string]secret.Value
}

// group is what one instance is asked for in one lookup.
type group struct {
	instance *Instance
	key      string
	refs     []string          // sorted, unique
	names    map[string]string // credential name to ref
}

// NewCredentials takes ownership of the literals and holds the instances until
// Close. log carries the service already; it may be nil.
func NewCredentials(service string, refs []Ref, log *slog.Logger) *Credentials {
	log = logOrDiscard(log)
	c := &Credentials{
		service:  service,
		names:    len(refs),
		log:      log,
		breaker:  newBreaker(service, log),
		literals: map[string]secret.Value{},
	}
	c.close = sync.OnceFunc(c.shutdown)
	byInstance := map[*Instance]*group{}
	for _, r := range refs {
		if r.Instance == nil {
			c.literals[r.Name] = r.Literal
			continue
		}
		g := byInstance[r.Instance]
		if g == nil {
			g = &group{instance: r.Instance, names: map[string]string{}}
			byInstance[r.Instance] = g
			c.groups = append(c.groups, g)
			r.Instance.hold()
		}
		g.names[r.Name] = r.Get
		g.refs = append(g.refs, r.Get)
	}
	for _, g := range c.groups {
		slices.Sort(g.refs)
		g.refs = slices.Compact(g.refs)
		g.key = setKey(g.refs)
	}
	return c
}

// Get resolves every credential: one lookup an instance, all instances at the
// same time. The caller wipes the set. It fails with *Error, with several of
// them, or with *SuspendedError while the target keeps rejecting this secret.
func (c *Credentials) Get(ctx context.Context) (*secret.Set, error) {
	set, err := c.resolve(ctx)
	if err != nil {
		return nil, err
	}
	suspended := c.breaker.admit(ctx, set, time.Now())
	if suspended == nil {
		return set, nil
	}
	defer set.Wipe()
	if !c.refresh(set) {
		return nil, suspended
	}
	return c.getAgain(ctx)
}

func (c *Credentials) getAgain(ctx context.Context) (*secret.Set, error) {
	set, err := c.resolve(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.breaker.admit(ctx, set, time.Now()); err != nil {
		set.Wipe()
		return nil, err
	}
	return set, nil
}

// Check resolves every credential and throws the values away: a start with
// --require-credentials wants to know before the first client does.
func (c *Credentials) Check(ctx context.Context) error {
	set, err := c.resolve(ctx)
	set.Wipe()
	return err
}

// Close wipes the literals and gives up the instances; more calls do nothing.
func (c *Credentials) Close() { c.close() }

func (c *Credentials) shutdown() {
	c.mu.Lock()
	c.closed = true
	for _, v := range c.literals {
		v.Wipe()
	}
	c.mu.Unlock()
	for _, g := range c.groups {
		g.instance.drop()
	}
}

func (c *Credentials) resolve(ctx context.Context) (*secret.Set, error) {
	answers, err := c.ask(ctx)
	if err != nil {
		return nil, err
	}
	c.notice(answers)
	values := make(map[string]secret.Value, c.names)
	from := &origin{parts: make([]part, 0, len(c.groups))}
	for n, g := range c.groups {
		a := answers[n]
		from.parts = append(from.parts, part{g, a.entry, a.cached})
		for name, ref := range g.names {
			values[name] = a.values[ref].Clone() // two names may share a ref
		}
		wipeAll(a.values)
	}
	set := secret.NewSet(values)
	set.Origin = from
	if err := c.addLiterals(values); err != nil {
		set.Wipe()
		return nil, err
	}
	return set, nil
}

func (c *Credentials) addLiterals(into map[string]secret.Value) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return fmt.Errorf("credentials of service %s: the service has been stopped", c.service)
	}
	for name, v := range c.literals {
		into[name] = v.Clone()
	}
	return nil
}

// ask asks all instances at once. Each answers by its deadline at the latest.
func (c *Credentials) ask(ctx context.Context) ([]answer, error) {
	if len(c.groups) == 0 {
		return nil, nil
	}
	answers := make([]answer, len(c.groups))
	errs := make([]error, len(c.groups))
	one := func(n int) {
		inner, end := stage.Begin(ctx, stage.Lookup, c.groups[n].instance.name)
		answers[n], errs[n] = c.groups[n].instance.get(inner, c.groups[n].refs)
		end(errs[n])
	}
	var others sync.WaitGroup
	for n := 1; n < len(c.groups); n++ {
		others.Go(func() { one(n) })
	}
	one(0)
	others.Wait()
	err := join(errs)
	if err != nil {
		for _, a := range answers {
			wipeAll(a.values)
		}
	}
	return answers, err
}

func wipeAll(values map[string]secret.Value) {
	for _, v := range values {
		v.Wipe()
	}
}

// failures are several failed lookups on one line, as clients and logs want.
type failures []error

func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(e error) bool { return e == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return failures(errs)
}

func (f failures) Error() string {
	texts := make([]string, len(f))
	for n, e := range f {
		texts[n] = e.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

// Is keeps errors.Is from comparing slices, which would panic.
func (f failures) Is(target error) bool {
	return slices.ContainsFunc(f, func(e error) bool { return errors.Is(e, target) })
}
