package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"secretless/internal/connector"
	"secretless/internal/peer"
)

// Apply replaces the services that run by those given, all or none. What is
// new is bound first; when that fails, the error joins all that is wrong and
// nothing has changed. Then every address is swapped to its new service, and
// the old ones drain in the background. A service whose Digest equals that of
// the running one of its name stays as it is, connections included.
//
// The services belong to the broker from the call on: those that it does not
// run are closed before Apply returns. ctx bounds the looking up of names.
func (b *Broker) Apply(ctx context.Context, services []*Service) error {
	b.apply.Lock()
	defer b.apply.Unlock()
	if b.is(stopped) {
		b.discard(services)
		return ErrStopped
	}
	ch, err := b.prepare(ctx, services)
	if err != nil {
		ch.undo()
		b.discard(services)
		return err
	}
	b.commit(ch)
	return nil
}

func (b *Broker) is(s state) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == s
}

// discard closes services that will not run.
func (b *Broker) discard(services []*Service) {
	for _, svc := range services {
		if g := b.services[svc.Name]; g == nil || g.svc != svc {
			closeService(svc, b.log.With("service", svc.Name))
		}
	}
}

// change is a prepared Apply.
type change struct {
	services  map[string]*generation // to run, carried over or new
	endpoints map[string]*endpoint   // to listen on, carried over or opened
	behind    map[string]*generation // new ones by endpoint key
	opened    []*endpoint
	dropped   []*Service // carried over, so that these are not needed
	undos     []func()
}

func (ch *change) undo() {
	for _, f := range ch.undos {
		f()
	}
	for _, e := range ch.opened {
		e.retire()
	}
}

// prepare does all that can fail.
func (b *Broker) prepare(ctx context.Context, services []*Service) (*change, error) {
	ch := &change{
		services: map[string]*generation{}, endpoints: map[string]*endpoint{}, behind: map[string]*generation{},
	}
	if b.watcher == nil {
		w, err := newWatcher()
		if err != nil {
			return ch, err
		}
		b.watcher = w
	}
	plans, err := planSockets(services)
	if err != nil {
		return ch, err
	}
	var errs []error
	for _, svc := range services {
		for _, err := range b.prepareService(ctx, ch, svc, plans[svc.Name]) {
			errs = append(errs, fmt.Errorf("service %q: %w", svc.Name, err))
		}
	}
	return ch, errors.Join(errs...)
}

func (b *Broker) prepareService(ctx context.Context, ch *change, svc *Service, plan []socket) (errs []error) {
	if old := b.services[svc.Name]; old != nil && old.svc.Digest == svc.Digest && svc.Digest != "" {
		ch.services[svc.Name] = old
		if old.svc != svc {
			ch.dropped = append(ch.dropped, svc)
		}
		for key, e := range b.endpoints {
			if e.serves() == svc.Name {
				ch.endpoints[key] = e
			}
		}
		return nil
	}
	if starter, ok := svc.Connector.(connector.Starter); ok {
		if err := starter.Start(); err != nil {
			return []error{err}
		}
	}
	count := newCounters()
	if old := cmp.Or(b.services[svc.Name], b.drained[svc.Name]); old != nil {
		count = old.counters
	}
	g := newGeneration(svc, b.log, count)
	ch.services[svc.Name] = g
	b.followChanges(g)
	for _, want := range plan {
		if err := b.prepareSocket(ctx, ch, g, want); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// prepareSocket finds or opens the endpoints of one address in listenOn.
func (b *Broker) prepareSocket(ctx context.Context, ch *change, g *generation, want socket) error {
	found, err := b.carry(ch, g.svc, want)
	if err != nil {
		return fmt.Errorf("cannot go on listening on %s: %w", want.written, err)
	}
	opened, err := b.open(ctx, g.svc, want.without(found))
	if own := b.overlapping(want); err != nil && inUse(err) && own != nil {
		return fmt.Errorf("cannot listen on %s: this broker itself has %s, and an open port is neither widened nor narrowed: restart the broker, or choose another port",
			want.written, own.address)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", want.written, err)
	}
	ch.opened = append(ch.opened, opened...)
	found = append(found, opened...)
	for _, e := range found {
		if g.svc.Allow != nil {
			if err := peer.Supported(e.ln.Addr().Network(), e.address); err != nil {
				return err
			}
		}
		ch.endpoints[e.key] = e
		ch.behind[e.key] = g
	}
	return nil
}

// carry finds the running endpoints for want, of whichever service, and gives
// their file the new owner and mode.
func (b *Broker) carry(ch *change, svc *Service, want socket) ([]*endpoint, error) {
	var found []*endpoint
	for _, one := range want.binds {
		e := b.endpoints[one.key]
		if e == nil || e.broken.Load() || e.file != nil && !e.file.ours() {
			continue
		}
		if e.file != nil {
			undo, err := e.file.change(svc.Socket)
			if err != nil {
				return nil, err
			}
			ch.undos = append(ch.undos, undo)
		}
		found = append(found, e)
	}
	return found, nil
}

// overlapping finds an endpoint of the broker's own that keeps want from being
// bound: the same port, of every interface or one, where want is about one or
// every. The kernel has no way to go from one to the other without a moment in
// which the port is nobody's.
func (b *Broker) overlapping(want socket) *endpoint {
	for _, one := range want.binds {
		for key, e := range b.endpoints {
			_, port, err := net.SplitHostPort(e.address)
			if err == nil && port == one.port && key != one.key && (e.wildcard || one.host == "") {
				return e
			}
		}
	}
	return nil
}

// commit cannot fail. From the swap of its endpoints on, nothing is added to
// an old service, which is what drain relies on.
func (b *Broker) commit(ch *change) {
	b.mu.Lock()
	// In one step for Status: no endpoint serves what is not in services.
	for key, g := range ch.behind {
		ch.endpoints[key].swap(g)
	}
	oldEndpoints, oldServices := b.endpoints, b.services
	b.endpoints, b.services, b.state = ch.endpoints, ch.services, serving
	clear(b.drained)
	for name, g := range oldServices {
		if ch.services[name] != g {
			b.draining[g] = struct{}{}
		}
	}
	b.mu.Unlock()

	for key, e := range oldEndpoints {
		if ch.endpoints[key] != e {
			e.retire()
		}
	}
	for _, e := range ch.opened {
		b.log.Info("listening", "service", e.serves(), "listenOn", e.written.String(), "address", e.address)
		b.tasks.Go(func() { e.acceptLoop(b.accepted) })
	}
	for name, g := range oldServices {
		if ch.services[name] != g {
			g.log.Info("draining", "connections", g.active(), "replaced", ch.services[name] != nil, "drain", g.svc.Drain.String())
			b.drain(g, b.atOnce)
		}
	}
	for _, svc := range ch.dropped {
		closeService(svc, b.log.With("service", svc.Name))
	}
	b.log.Info("services applied", "services", len(ch.services), "listeners", len(ch.endpoints))
}
