package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"secretless/internal/connector"
)

var (
	// ErrAdministrator is the cause with which CloseConnection ends a connection.
	ErrAdministrator error = &connector.Failure{
		Kind: connector.KindStopping,
		Err:  errors.New("an administrator has closed the connection"),
	}
	// ErrNoConnection says that no open connection has the ID.
	ErrNoConnection = errors.New("no such connection is open")
	errNotServing   = errors.New("the broker does not serve yet")
)

// reasonAdministrator is the audit's word for ErrAdministrator.
const reasonAdministrator = "administrator"

// CloseConnection ends one connection, whatever it is doing, and returns when it
// has gone. A client in its handshake, and one whose connector serves it, is
// told in its protocol where the connector can; a relayed one, which may be in
// the middle of a message, is closed.
func (b *Broker) CloseConnection(ctx context.Context, id uint64) error {
	c := b.find(id)
	if c == nil {
		return ErrNoConnection
	}
	left := c.gen.leaving(c)
	c.stop(ErrAdministrator)
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-left:
		return nil
	case <-grace.C:
		c.abandon()
	case <-ctx.Done():
	}
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the connection was told to end and has not yet: %w", ctx.Err())
	}
}

func (b *Broker) find(id uint64) (found *conn) {
	for _, g := range b.generations() {
		g.each(func(c *conn) {
			if id != 0 && c.number() == id {
				found = c
			}
		})
	}
	return found
}

// leaving returns what is closed when c has ended.
func (g *generation) leaving(c *conn) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.left == nil {
		c.left = make(chan struct{})
		if _, open := g.conns[c]; !open {
			close(c.left)
		}
	}
	return c.left
}

// UnknownServiceError is a name that Drain was given in vain.
type UnknownServiceError struct {
	Name  string
	Known []string
	// Address is the name of the address that a service of this name shares.
	Address string
}

// Error says what could be drained.
func (e *UnknownServiceError) Error() string {
	if e.Address != "" {
		return fmt.Sprintf("service %q shares its address with others, and they can only be drained together, as %q", e.Name, e.Address)
	}
	return fmt.Sprintf("there is no service %q; there are %s", e.Name, strings.Join(e.Known, ", "))
}

// Drain closes the listeners of the named services, of all where no name is
// given, and lets their connections live on until they end by themselves or the
// broker stops; only then begins their Drain. Ready is false from now on, until
// the next Apply makes the services anew. To drain what drains changes nothing.
func (b *Broker) Drain(names ...string) error {
	b.apply.Lock()
	defer b.apply.Unlock()
	going, retired, err := b.take(names)
	if err != nil {
		return err
	}
	for _, e := range retired {
		e.retire()
	}
	for _, g := range going {
		g.log.Info("drained: accepting no connections until the next reload", "connections", g.active())
		b.drain(g, b.stopping)
	}
	return nil
}

// take removes services and their endpoints from those that run.
func (b *Broker) take(names []string) (going []*generation, retired []*endpoint, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.state {
	case starting:
		return nil, nil, errNotServing
	case stopped:
		return nil, nil, ErrStopped
	}
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(b.services))
	}
	for _, name := range names {
		if b.services[name] == nil && b.drained[name] == nil {
			return nil, nil, b.unknown(name)
		}
	}
	for _, name := range names {
		g := b.services[name]
		if g == nil {
			continue // drained before, or named twice
		}
		going = append(going, g)
		delete(b.services, name)
		b.drained[name], b.draining[g] = g, struct{}{}
		for key, e := range b.endpoints {
			if e.serves() == name {
				retired = append(retired, e)
				delete(b.endpoints, key)
			}
		}
	}
	return going, retired, nil
}

func (b *Broker) unknown(name string) error {
	e := &UnknownServiceError{Name: name}
	for _, some := range []map[string]*generation{b.services, b.drained} {
		for known, g := range some {
			e.Known = append(e.Known, known)
			if slices.Contains(g.svc.Members, name) {
				e.Address = known
			}
		}
	}
	slices.Sort(e.Known)
	return e
}
