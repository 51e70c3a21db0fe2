package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"secretless/internal/kubeapi"
)

// Bounds of the conversation.
const (
	listTimeout = 15 * time.Second
	// A watch ends after watchLeast to twice that, so that many brokers do not
	// come back at once; patience later it is given up as dead.
	watchLeast = 4 * time.Minute
	patience   = 30 * time.Second
	// shortWatch is what no server keeps a watch open for that means it.
	shortWatch = time.Second
	// mostWithVersion failures in a row end the hope to go on where it broke off.
	mostWithVersion = 3
)

// pauses between two tries double with each failure in a row, from first up to
// longest.
type pauses struct{ first, longest time.Duration }

// follow asks what there is and is told what changes, again and again.
func (w *Watcher) follow(ctx context.Context) {
	pause := w.pauses.first
	version := "" // where the next watch begins; empty means to ask anew
	failures := 0
	for ctx.Err() == nil {
		began, from := time.Now(), version
		err := w.round(ctx, &version)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errExpired):
			version = ""
		case err != nil:
			w.trouble(err)
			// The version may be the trouble: one of an etcd that was restored since.
			if failures++; failures%mostWithVersion == 0 {
				version = ""
			}
		default:
			failures = 0
		}
		if time.Since(began) > w.pauses.longest || err == nil && version != from { // it was of use
			pause = w.pauses.first
		}
		switch {
		case err != nil:
			sleep(ctx, jitter(pause))
			pause = min(2*pause, w.pauses.longest)
		case time.Since(began) < shortWatch: // each may bring something, and none lasts
			sleep(ctx, jitter(w.pauses.first))
		}
	}
}

// round lists if it must, and watches until that ends. Files and tokens are
// read for each: they are replaced under a running pod.
func (w *Watcher) round(ctx context.Context, version *string) error {
	a, err := w.access()
	if err != nil {
		return err
	}
	defer a.Wipe()
	client, done := a.Client()
	defer done()
	if *version == "" {
		if *version, err = w.list(ctx, client, a.Namespace); err != nil {
			return err
		}
	}
	return w.watch(ctx, client, a.Namespace, version)
}

// access finds the cluster, and with it the namespace.
func (w *Watcher) access() (*kubeapi.Access, error) {
	a, err := w.options.Cluster.Find()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.namespace = a.Namespace
	return a, nil
}

// request is about the one resource alone: a right that is bound to its name is
// enough for it.
func (w *Watcher) request(namespace string, query url.Values) kubeapi.Request {
	query.Set("fieldSelector", "metadata.name="+w.options.Name)
	return kubeapi.Request{
		Path:  []string{"apis", w.options.Group, w.options.Version, "namespaces", namespace, w.options.Plural},
		Query: query,
	}
}

// list reads the resource as it is, and returns the version that a watch goes
// on from.
func (w *Watcher) list(ctx context.Context, client *kubeapi.Client, namespace string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	resp, err := client.Do(ctx, w.request(namespace, url.Values{"limit": {"2"}}))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", w.refused(resp.StatusCode, "list", namespace)
	}
	body, err := kubeapi.ReadBody(resp.Body, maxEvent)
	if err != nil {
		return "", kubeapi.ConnectError(ctx, err)
	}
	o, version, err := parseList(body, namespace, w.options.Name)
	switch {
	case err != nil:
		return "", err
	case o == nil:
		w.unset()
	default:
		w.set(o)
	}
	return version, nil
}

// parseList reads the answer to list: the resource, or nil if there is none.
func parseList(body []byte, namespace, name string) (*Object, string, error) {
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Items []wireObject `json:"items"`
	}
	if json.Unmarshal(body, &list) != nil || list.Metadata.ResourceVersion == "" || len(list.Items) > 1 {
		return nil, "", errNoObject
	}
	if len(list.Items) == 0 {
		return nil, list.Metadata.ResourceVersion, nil
	}
	o, err := list.Items[0].object(namespace, name)
	return o, list.Metadata.ResourceVersion, err
}

// watch is told of changes until the server ends that, which is no error, and
// keeps version up to date.
func (w *Watcher) watch(ctx context.Context, client *kubeapi.Client, namespace string, version *string) error {
	length := watchLeast + rand.N(watchLeast)
	ctx, cancel := context.WithTimeout(ctx, length+patience)
	defer cancel()
	resp, err := client.Do(ctx, w.request(namespace, url.Values{
		"watch": {"1"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {*version},
		"timeoutSeconds": {strconv.Itoa(int(length.Seconds()))},
	}))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusGone:
		return errExpired
	default:
		return w.refused(resp.StatusCode, "watch", namespace)
	}
	w.trouble(nil)
	began, before := time.Now(), *version
	lines := newEvents(resp.Body, namespace, w.options.Name)
	for {
		e, err := lines.next()
		if broken, ok := errors.AsType[brokenError](err); ok {
			return kubeapi.ConnectError(ctx, broken.error)
		}
		switch {
		case errors.Is(err, io.EOF) && *version == before && time.Since(began) < shortWatch:
			return errEnds
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			*version = "" // what it was worth is not known
			return err
		case e.kind == "DELETED":
			w.unset()
		case e.object != nil:
			w.set(e.object)
		}
		*version = e.version
	}
}

// errEnds is a server, or what stands in front of it, that lets nobody watch.
var errEnds = errors.New("the API server ends the watch at once")

// refused says what an answer's status means for a verb.
func (w *Watcher) refused(status int, verb, namespace string) error {
	o := w.options
	switch status {
	case http.StatusForbidden:
		return fmt.Errorf("the account may not %s %s.%s %s in namespace %s: give it a Role there with the verb %s on %s of API group %s, resourceNames [%s]",
			verb, o.Plural, o.Group, o.Name, namespace, verb, o.Plural, o.Group, o.Name)
	case http.StatusNotFound:
		return fmt.Errorf("the cluster has no %s.%s of version %s: install their definition, which secretless schema crd prints", o.Plural, o.Group, o.Version)
	}
	return kubeapi.StatusError(status)
}

// jitter spreads what many do after the same pause.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
