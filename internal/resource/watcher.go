// Package resource follows one custom resource of Kubernetes, of one name in one
// namespace, and reports in its status what became of it. What its spec means is
// not its business.
package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"secretless/internal/kubeapi"
)

// Options say which resource, and where.
type Options struct {
	Cluster kubeapi.Cluster
	// Group, Version and Plural are those of the resource's definition.
	Group, Version, Plural string
	// Name is the resource's; its namespace is the one of the cluster's access.
	Name string
	// Reporter is how the status calls this process: its pod's name.
	Reporter string
	Log      *slog.Logger
}

// Watcher keeps up with the resource until it is closed. It is safe for
// concurrent use.
type Watcher struct {
	options Options
	pauses  pauses
	changed chan struct{} // of one place: something new is there to be read
	wake    chan struct{} // of one place: the status may have to be written
	end     context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	namespace string // empty until a cluster was found
	object    *Object
	listed    bool      // whether the server has ever said what there is
	gone      time.Time // when the resource was deleted
	problem   error     // why the server is not being followed now
	told      string    // what was logged of it
	since     time.Time // when that began
	read      identity  // what Current returned last
	verdict   *Verdict  // what was reported about it
	judged    identity
	wrote     written // into the status
}

// Watch begins to follow the resource. The caller closes the watcher.
func Watch(o Options) *Watcher {
	return watch(o, pauses{250 * time.Millisecond, 8 * time.Second})
}

func watch(o Options, p pauses) *Watcher {
	ctx, end := context.WithCancel(context.Background())
	w := &Watcher{options: o, pauses: p, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1), end: end}
	w.running.Go(func() { w.follow(ctx) })
	w.running.Go(func() { w.write(ctx) })
	return w
}

// Close ends the watch, and what it does about the status.
func (w *Watcher) Close() {
	w.end()
	w.running.Wait()
}

// Changes tells that Current would return another generation than it did last.
func (w *Watcher) Changes() <-chan struct{} { return w.changed }

// ErrNone says that there is nothing to read: not yet, or not any more.
var ErrNone = errors.New("no resource")

// Current is the resource as the server last told. Without one the error is
// ErrNone, and says why.
func (w *Watcher) Current() (*Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.object == nil {
		return nil, fmt.Errorf("%w: %s", ErrNone, w.missing())
	}
	w.read = w.object.identity()
	return w.object, nil
}

// missing says why there is no object.
func (w *Watcher) missing() string {
	switch {
	case !w.gone.IsZero():
		return fmt.Sprintf("%s was deleted at %s", w.title(), w.gone.Format(time.RFC3339))
	case w.listed:
		return fmt.Sprintf("there is no %s yet", w.title())
	case w.problem != nil:
		return w.problem.Error()
	}
	return "the API server has not answered yet"
}

// State says in a line how it stands.
func (w *Watcher) State() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := "following " + w.title()
	if w.object == nil {
		what = w.missing()
	} else {
		what += fmt.Sprintf(", generation %d", w.object.Generation)
	}
	if w.problem != nil && (w.object != nil || w.listed) {
		return fmt.Sprintf("%s; not up to date since %s: %v", what, w.since.Format(time.RFC3339), w.problem)
	}
	return what
}

func (w *Watcher) title() string {
	if w.namespace == "" {
		return w.options.Plural + "." + w.options.Group + " " + w.options.Name
	}
	return fmt.Sprintf("%s.%s %s in namespace %s", w.options.Plural, w.options.Group, w.options.Name, w.namespace)
}

// set is what the server tells of the resource.
func (w *Watcher) set(o *Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.object != nil && w.object.identity() == o.identity() && w.object.ResourceVersion == o.ResourceVersion {
		return
	}
	w.object, w.listed, w.gone = o, true, time.Time{}
	if o.identity() != w.read {
		signal(w.changed)
	}
	signal(w.wake)
}

// unset is the server saying that there is none.
func (w *Watcher) unset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.object != nil:
		w.gone = time.Now()
		w.options.Log.Warn("the configuration was deleted, what runs stays", "resource", w.title())
	case !w.listed:
		w.options.Log.Info("waiting for the configuration to be made", "resource", w.title())
	}
	w.object, w.listed = nil, true
}

// trouble notes why the server is not being followed; nil ends that. A reason
// is logged once, however often it is tried again.
func (w *Watcher) trouble(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil && w.problem != nil:
		w.options.Log.Info("the API server is followed again", "resource", w.title(), "missed", time.Since(w.since).Round(time.Millisecond))
	case err != nil:
		text := "the configuration cannot be followed, what runs stays"
		if w.object == nil && w.gone.IsZero() {
			text = "the configuration cannot be read, and is waited for"
		}
		if w.problem == nil || w.problem.Error() != err.Error() || w.told != text {
			w.options.Log.Warn(text, "resource", w.title(), "error", err)
		}
		w.told = text
	}
	if err != nil && w.problem == nil {
		w.since = time.Now()
	}
	w.problem = err
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is said already
	}
}
