package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"secretless/internal/kubeapi"
)

// Bounds of what is done about the status.
const (
	writeTimeout = 10 * time.Second
	// writePause follows each attempt, whatever became of it.
	writePause = time.Second
	// Failures in a row make the pause longer, up to longestWritePause.
	longestWritePause = time.Minute
)

// write keeps the resource's status as it should be.
func (w *Watcher) write(ctx context.Context) {
	var timer <-chan time.Time
	asked := identity{} // what the timer is for
	pause := writePause
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
			if o, wait, ok := w.due(); !ok {
				timer = nil
			} else if timer == nil || wait == 0 || asked != o.identity() {
				timer, asked = time.After(randomly(wait)), o.identity()
			}
			continue
		case <-timer:
			timer = nil
		}
		o, wait, ok := w.due()
		if !ok {
			continue
		}
		if wait > spread { // another broker has rejected it in the meantime
			timer = time.After(randomly(wait))
			continue
		}
		err := w.patch(ctx, o)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause, told = writePause, ""
			sleep(ctx, writePause)
			continue
		case err.Error() != told:
			w.options.Log.Warn("what became of the configuration cannot be written into its status", "error", err)
			told = err.Error()
		}
		// Whatever it is: a right can be given, a token be replaced, and nobody else
		// says that this is the time.
		sleep(ctx, jitter(pause))
		pause = min(2*pause, longestWritePause)
		signal(w.wake)
	}
}

// randomly is about d for long waits, and a random part of short ones.
func randomly(d time.Duration) time.Duration {
	switch {
	case d == 0:
		return 0
	case d <= spread:
		return rand.N(d)
	}
	return d + rand.N(d/10)
}

func (w *Watcher) due() (*Object, time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	write, wait := due(w.object, w.verdict, w.judged, w.options.Reporter, w.wrote, time.Now())
	return w.object, wait, write
}

// patch writes the verdict, if the resource is still as it was seen: of several
// brokers that write at the same time one succeeds, and the others look again.
func (w *Watcher) patch(ctx context.Context, o *Object) error {
	w.mu.Lock()
	next := o.status.with(w.verdict, o.Generation, w.options.Reporter, time.Now())
	w.wrote = written{} // until the answer says that it is there
	w.mu.Unlock()
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]string{"resourceVersion": o.ResourceVersion},
		"status":   next,
	})
	if err != nil {
		return fmt.Errorf("making the status: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	a, err := w.access()
	if err != nil {
		return err
	}
	defer a.Wipe()
	client, done := a.Client()
	defer done()
	resp, err := client.Do(ctx, kubeapi.Request{
		Method:      http.MethodPatch,
		Path:        []string{"apis", w.options.Group, w.options.Version, "namespaces", o.Namespace, w.options.Plural, o.Name, "status"},
		Query:       url.Values{"fieldManager": {"secretless"}},
		ContentType: "application/merge-patch+json",
		Body:        body,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		c, _ := next.accepted()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.wrote = written{o.identity(), c.Status, c.Message}
		return nil
	case http.StatusConflict: // someone was faster; what they wrote is on its way
		return nil
	case http.StatusNotFound: // deleted
		return nil
	case http.StatusForbidden:
		return fmt.Errorf("the account may not patch the status of %s.%s %s in namespace %s: to see there what brokers think of it, "+
			"give the account a Role with the verb patch on %s/status of API group %s, resourceNames [%s]",
			w.options.Plural, w.options.Group, o.Name, o.Namespace, w.options.Plural, w.options.Group, o.Name)
	}
	return kubeapi.StatusError(resp.StatusCode)
}
